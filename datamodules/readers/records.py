"""Records of official files as they must be: which keys, with what behind them; and which file it is where none fits.

misfit({"image_id": 9}, {"image_id": int, "caption": str})      # "has no 'caption', only 'image_id'"
misfit({"ann_id": "7"}, {"ann_id": (int, [int])})               # "has '7' as its 'ann_id'"
known_format({"images": [...], "annotations": [{"caption": ...}]})      # "COCO captions"
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vista.errors import InputError
from vista.unsound import shown

if TYPE_CHECKING:
    from datamodules.readers.reader import Reader

# What must stand somewhere: a type or a union of types (None among them: it may be missing), a list of one form, a form
# for each key, or a tuple of forms, one of which it has; `object` is anything that is there.
Form: TypeAlias = object
Record: TypeAlias = dict[str, Any]  # of an official file, keys as its publisher names them
IDS = (
    "id",
    "ref_id",
    "question_id",
    "annot_id",
    "identifier",
    "qa_id",
    "region_id",
    "cocoid",
    "image_id",
)
# format -> the key of its list of records (none: the list is all), and keys that its records have
FORMATS: dict[str, tuple[str, set[str]]] = {
    "COCO instances": ("annotations", {"bbox", "segmentation"}),
    "COCO captions": ("annotations", {"image_id", "caption"}),
    "annotations of VQA": ("annotations", {"question_id", "answers"}),
    "questions of VQA": ("questions", {"question_id", "question"}),
    "Karpathy's split of captions": ("images", {"sentences", "split"}),
    "questions of Visual7W": ("images", {"qa_pairs"}),
    "questions of TextVQA": ("data", {"question_id", "image_id"}),
    "expressions of RefCOCO or gRefCOCO": ("", {"ref_id", "sentences"}),
    "conversations of LLaVA": ("", {"conversations"}),
    "regions of Visual Genome": ("", {"regions"}),
    "attributes of Visual Genome": ("", {"attributes"}),
    "the images of Visual Genome": ("", {"url", "width", "height"}),
    "questions of POPE": ("", {"question_id", "text", "label"}),
    "problems of IconQA": ("", {"ques_type", "choices"}),
    "answers of a model to POPE": ("", {"question", "answer"}),
    "answers of a model to questions": ("", {"question_id", "answer"}),
    "captions of a model": ("", {"image_id", "caption"}),
    "masks or boxes of a model": ("", {"image_id", "score"}),
    "statements of NLVR2": ("", {"identifier", "sentence"}),
    "questions of VCR": ("", {"annot_id"}),
    "Hateful Memes": ("", {"img", "text"}),
    "PointingQA": ("", {"general_question"}),
}


def misfit(value: object, form: Form) -> str:
    """What is wrong with a value, said of the record that it is; nothing where it has the form."""
    if isinstance(form, dict):
        if not isinstance(value, Mapping):
            return f"is {shown(value)}, no record"
        for key, inner in form.items():
            # Most values are of the one type that they must be; millions of them are looked at.
            found = value.get(key)
            if found.__class__ is inner or (inner is object and found is not None):
                continue
            why = misfit(found, inner)
            if why:
                return _within(value, key, inner, why)
        return ""
    if isinstance(form, list):
        if not isinstance(value, list | tuple):
            return f"is {shown(value)}, no list"
        return next(filter(None, (misfit(each, form[0]) for each in value)), "")
    if isinstance(form, tuple):
        return "" if any(not misfit(value, each) for each in form) else f"is {shown(value)}"
    return "" if fits(value, form) else f"is {shown(value)}"


def _within(record: Mapping, key: str, form: Form, why: str) -> str:
    """The same, said of the record, of what stands behind one of its keys."""
    value = record.get(key)
    # Of a list or a table within the record more can be said than what it is.
    if isinstance(form, dict) and isinstance(value, Mapping):
        return f"has {key!r}, which {why}"
    if isinstance(form, list) and isinstance(value, list):
        return f"has {key!r}, of which one {why}"
    if value is not None:
        return f"has {shown(record[key])} as its {key!r}"
    others = ", ".join(repr(other) for other in record if other != key)
    return f"has no {key!r}, only {shown_keys(others)}" if others else f"has no {key!r}"


def shown_keys(keys: str, most: int = 120) -> str:
    """A list of keys for a message, cut where it is long."""
    return keys if len(keys) <= most else f"{keys[:most].rpartition(', ')[0]}, ..."


def fits(value: object, form: Form) -> bool:
    """Whether a value is of a type or a union of types; a truth value is no number."""
    if value.__class__ is form:
        return True
    if form is object:
        return value is not None
    if value.__class__ is bool:  # to Python, it is a number
        return bool in getattr(form, "__args__", ())
    return isinstance(value, form)  # type: ignore[arg-type]


def name_of(record: object, number: int) -> str:
    """How a record is called in a message: by an id of its own, or by its place."""
    if isinstance(record, Mapping):
        for key in IDS:
            if isinstance(record.get(key), str | int):
                return str(record[key])
    return f"record {number}"


def known_format(content: object) -> str:
    """The official format that the content of a file has, or nothing.

    Args:
        content: of a JSON file, or its first records.
    """
    for name, (key, keys) in FORMATS.items():
        records = content.get(key) if key and isinstance(content, dict) else content
        if key and records is content:
            continue
        if any(isinstance(each, Mapping) and keys <= each.keys() for each in _first(records)):
            return name
    return ""


def _first(records: object) -> Iterable[object]:
    """The first record of a list, or of a table of records or of lists of them."""
    if isinstance(records, Mapping):
        records = list(records.values())[:1]
    if isinstance(records, list) and records:
        return records[0] if isinstance(records[0], list) else records[:1]
    return ()


def misplaced(reader: "Reader", path: Path, why: str, found: str = "") -> InputError:
    """The error for a sound file of another kind: why it cannot be this one, and the format that it has."""
    seems = f", and looks like {found}" if found else ""
    advice = f"put the official file of {reader.name} in its place, see {reader.source}"
    return InputError(f"{path} is another file: {why}{seems}; {advice}")
