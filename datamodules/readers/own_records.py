"""The records of `jsonl`: JSON lines, a JSON list, or the `.json` members of shards, each beside its image.

shards/train-000003.tar     0001.jpg 0001.json 0002.jpg 0002.json ...
"""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath

from datamodules.readers.conversations import FORMS, form_of
from datamodules.readers.coseg import SUFFIXES
from datamodules.readers.files import json_items, json_lines
from datamodules.readers.official import HOPELESS
from datamodules.readers.own import OwnReader, other_file
from datamodules.readers.records import Record, known_format
from vista.data import InputError
from vista.shards import ENDING, opened, walk

Found = list[
    tuple[Record, str]
]  # records, each with the path of the image beside it, if it lies in a shard


def read_records(reader: OwnReader, files: list[Path], form: str) -> tuple[str, Found]:
    """The form of all records, and the records; what is none is an empty one.

    Args:
        reader: whose files they are.
        files: of JSON lines, of JSON lists, or shards.
        form: of the records; empty: that of the first one that shows one.

    Raises:
        InputError: no record shows a form, or a file cannot be read.
    """
    found: Found = []
    for item, image in chain.from_iterable(_items(reader, file) for file in files):
        record = item if isinstance(item, dict) else {}
        form = form or form_of(record)
        found.append((record, image))
        if len(found) == HOPELESS and not form:
            break
    if not form:
        known = known_format([record for record, _ in found[:1]])
        why = (
            f"no record shows one of the forms {', '.join(FORMS)}" if found else "it holds nothing"
        )
        raise other_file(files[0], f"{why}, and it looks like {known}" if known else why)
    return form, found


def _items(reader: OwnReader, file: Path) -> Iterator[tuple[object, str]]:
    if file.suffix == ENDING:
        return _of_shard(reader, file)
    read = json_items if file.suffix == ".json" else json_lines
    return ((item, "") for item in read(file, reader.source))


def _of_shard(reader: OwnReader, shard: Path) -> Iterator[tuple[object, str]]:
    """The records of a shard that have an image of the same name beside them."""
    for folder, names in walk(shard):
        where = folder.relative_to(reader.root)
        images = {
            PurePosixPath(name).stem: (where / name).as_posix()
            for name in names
            if PurePosixPath(name).suffix.lower() in SUFFIXES
        }
        for name in names:
            path = PurePosixPath(name)
            if path.suffix != ".json":
                continue
            if path.stem in images:
                yield _content(folder / name), images[path.stem]
            else:
                reader.leave_out(where / name, "no image of the same name lies beside it")


def _content(path: Path) -> object:
    try:
        return json.loads(opened(path).read_bytes())
    except (ValueError, RecursionError) as error:  # of the syntax, or of the encoding
        raise (
            error if isinstance(error, InputError) else InputError(f"{path} is no JSON: {error}")
        ) from error
