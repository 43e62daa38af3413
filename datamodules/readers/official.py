"""Official files of a reader: what they hold, and the records that are what they should be."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.readers.plain_pickle import load_plain_pickle
from datamodules.readers.records import Form, Record, known_format, misfit, name_of
from vista.damage import read_json
from vista.data import InputError

if TYPE_CHECKING:
    from datamodules.readers.reader import Reader

HOPELESS = 1000  # records of a file without one that can be used


class Official:
    """An official file of a reader: JSON, or a pickle.

    Args:
        reader: whose file it is.
        path: the file.

    Raises:
        InputError: it cannot be read.
    """

    def __init__(self, reader: "Reader", path: Path) -> None:
        self.reader, self.path = reader, path
        is_pickle = path.suffix in (".p", ".pkl", ".pickle")
        read = load_plain_pickle if is_pickle else read_json
        self.content: Any = read(path, reader.source)

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
        why = misfit(record, form)
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


def misplaced(reader: "Reader", path: Path, why: str, found: str = "") -> InputError:
    """The error for a sound file of another kind: why it cannot be this one, and the format that it has."""
    seems = f", and looks like {found}" if found else ""
    advice = f"put the official file of {reader.name} in its place, see {reader.source}"
    return InputError(f"{path} is another file: {why}{seems}; {advice}")
