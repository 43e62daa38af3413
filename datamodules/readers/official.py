"""Official files of a reader: what they hold, and the records that are what they should be.

    instances = Official(reader, Path("data/refer/refcoco/instances.json"))
    instances.records("annotations", {"id": int, "bbox": object})     # the others are left out with a note

Files are not trusted: of a pickle nothing is run, and what is not as it should be is looked at by `records.py`,
`vista/damage.py` and `vista/unsound.py`, which say what is wrong.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.readers.plain_pickle import PlainUnpickler, RefusedPickleError
from datamodules.readers.records import Form, Record, known_format, misfit, misplaced, name_of
from vista.damage import advice, unreadable
from vista.data import Box, InputError, Size
from vista.geometry import clip_xywh, is_plain_size, mask_problem
from vista.unsound import shown, size_problem

if TYPE_CHECKING:
    from datamodules.readers.reader import Reader

HOPELESS = 1000  # records of a file without one that can be used
IMAGE = {"id": int, "height": object, "width": object}  # of COCO's files
OBJECT = {"id": int, "bbox": object, "segmentation": object}


def load(path: Path, source: str = "") -> Any:
    """The content of a JSON file, or of a pickle of plain containers that Python 2 or 3 wrote.

    Args:
        path: the file.
        source: an address where it is to be had, for messages.

    Raises:
        RefusedPickleError: a pickle asks for more than containers; nothing of it has been run.
        InputError: it is neither; says what it looks like.
    """
    is_pickle = path.suffix in (".p", ".pkl", ".pickle")
    try:
        with path.open("rb") as stream:
            if is_pickle:
                # Python 2 wrote byte strings; a stray byte that is no UTF-8 must not cost the whole data set.
                return PlainUnpickler(stream, encoding="utf-8", errors="replace").load()
            return json.load(stream)
    except RefusedPickleError as error:
        raise RefusedPickleError(f"{path} was refused: {error}; {advice('', source)}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # of what is no pickle, the module raises nearly anything
        raise unreadable(path, "pickle" if is_pickle else "JSON", error, source) from error


class Official:
    """An official file of a reader: JSON, or a pickle.

    Args:
        reader: whose file it is; takes the notes of what is left out.
        path: the file.

    Raises:
        InputError: it cannot be read, or holds nothing.
    """

    def __init__(self, reader: "Reader", path: Path) -> None:
        self.reader, self.path = reader, path
        self.content = load(path, reader.source)
        if not self.content:
            raise misplaced(reader, path, "it holds nothing")

    def records(self, key: str, form: Form) -> Iterator[Record]:
        """The records of one of the file's lists that have a form, see `intact`.

        Args:
            key: of the list; empty: the file is the list.
            form: what each record must be.

        Raises:
            InputError: there is no such list, or none of its records has the form.
        """
        found = self.content.get(key) if key and isinstance(self.content, dict) else self.content
        if not isinstance(found, list) or (key and found is self.content):
            why = f"it holds no list {key!r}" if key else "it is no list of records"
            raise misplaced(self.reader, self.path, why, known_format(self.content))
        what = key.removesuffix("s") or "record"
        kept = intact(self.reader, found, form, self.path, what, self.content)
        return (record for _, record in kept)

    def table(self) -> dict:
        """The file's content where it is one table.

        Raises:
            InputError: it is none.
        """
        if not isinstance(self.content, dict):
            why = "it is no table of records"
            raise misplaced(self.reader, self.path, why, known_format(self.content))
        return self.content

    def size(self, record: Record, name: object) -> Size | None:
        """The (H, W) that a record of this name states; None, with a note, where it is none."""
        size = (record["height"], record["width"])
        if not is_plain_size(size) and (problem := size_problem(size)):
            self.reader.leave_out(name, f"{problem}, in {self.path.name}")
            return None
        return size

    def image_sizes(self) -> dict[int, Size]:
        """Of COCO's layout, (H, W) of each image by its id; an image without a size is left out."""
        images = self.records("images", IMAGE)
        found = ((image["id"], self.size(image, image["id"])) for image in images)
        return {image_id: size for image_id, size in found if size is not None}

    def objects(self) -> dict[int, Record]:
        """Of COCO's layout, the objects by their id."""
        return {record["id"]: record for record in self.records("annotations", OBJECT)}

    def box(self, record: Record, size: Size) -> Box | None:
        """The box of an object in an image of (H, W), clipped, xyxy; None, with a note, where box or mask is unsound.

        A mask that is one flat list of numbers becomes a list of one polygon.
        """
        box = clip_xywh(record["bbox"], size)
        if box is None:
            why = f"its box {shown(record['bbox'])} has no area inside"
        else:
            why = mask_problem(record["segmentation"], size)
        if why:
            self.reader.leave_out(record["id"], f"{why}, in {self.path.name}")
            return None
        mask = record["segmentation"]
        if isinstance(mask, list) and not isinstance(mask[0], list):
            record["segmentation"] = [mask]
        return box


def intact(
    reader: "Reader",
    records: Iterable[object],
    form: Form,
    path: Path,
    what: str = "record",
    content: object = None,
) -> Iterator[tuple[int, Record]]:
    """The records of a file that have a form, with their place from 0; the others are left out.

    Args:
        reader: whose file it is; takes the notes.
        records: all of them.
        form: what each must be, see `datamodules.readers.records`.
        path: the file, for messages.
        what: what one of them is called.
        content: of the file, where there is more in it.

    Raises:
        InputError: none has it, so this is another file.
    """
    good, bad, first = False, 0, ""
    for place, record in enumerate(records):
        why = "" if is_plain(record, form) else misfit(record, form)
        if not why and isinstance(record, dict):
            good = True
            yield place, record
            continue
        bad += 1
        first = first or why
        called = f"{what} {place + 1} of {path.name}"
        reader.leave_out(name_of(record, place + 1), f"{called} {why}")
        if bad == HOPELESS and not good:
            break
    if bad and not good:
        found = known_format([record] if content is None else content)
        raise misplaced(reader, path, f"its first {what} {first}", found)


def is_plain(value: object, form: Form) -> bool:
    """Whether a value is of the very types of a form; what is not so plain is judged by `misfit`."""
    if isinstance(form, list):
        return isinstance(value, list) and all(is_plain(each, form[0]) for each in value)
    if not isinstance(form, dict):
        return value.__class__ is form or (form is object and value is not None)
    if not isinstance(value, dict):
        return False
    for key, inner in form.items():
        # Most values are of the one type that they must be; millions of them are looked at.
        found = value.get(key)
        if found.__class__ is not inner and not is_plain(found, inner):
            return False
    return True
