"""Many questions of a person: one about each image of a list or a folder, or those of a JSONL file.

    asked(["photos"], "", "the dog", "rec")             one question for each image in the folder
    asked([], "questions.jsonl", "", "")                {"id": "1", "image": "a.png", "task": "rec", "text": "the dog"}

A line of the file names `image` or `images`, relative to the file, and may leave out `id` (then it is its number) and
`task` (then it is the one of the command line).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from datamodules.source import LoadedSource, nearest
from tasks import Task
from vista.codec.codec import Codec
from vista.data import Annotation, InputError
from vista.images import ImageError, load_image
from vista.predictions import numbered_lines, read_records, still_asked

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
KEYS = frozenset({"id", "image", "images", "task", "text"})
ANSWERS = "answers.jsonl"  # in the folder that `callbacks/many_answers.py` writes
GREY = (96, 96)  # size of an image that cannot be read


@dataclass(frozen=True)
class Question:
    """What a person asks.

    Attributes:
        id: in files of answers.
        task: its name.
        images: paths.
        text: the expression, question or statement.
    """

    id: str
    task: str
    images: tuple[str, ...]
    text: str


def asked(images: Sequence[str], file: str, text: str, task: str) -> list[Question]:
    """Many questions; none where it is one question, about one image or about several together.

    Args:
        images: files or folders; tasks of several images are asked about all of them together.
        file: JSONL, in the place of images and text; or empty.
        text: of all questions about images.
        task: its name; of lines that name none.

    Raises:
        InputError: a line is no question, or a folder holds no image.
    """
    if file:
        return list(_from_lines(Path(file), task))
    paths = list(chain.from_iterable(map(expanded, images)))
    about_several = task in Task.known and Task.known[task].multi_image
    if about_several or (list(images) == paths and len(paths) < 2):
        return []
    names = [Path(path).name for path in paths]
    ids = names if len(set(names)) == len(names) else paths
    return [Question(id, task, (path,), text) for id, path in zip(ids, paths, strict=True)]


def expanded(name: str) -> list[str]:
    """The images in a folder, in the order of their names; what is no folder is itself.

    Raises:
        InputError: there is none.
    """
    folder = Path(name)
    if not folder.is_dir():
        return [name]
    found = sorted(str(p) for p in folder.iterdir() if p.suffix.lower() in ENDINGS)
    if not found:
        raise InputError(f"{folder} holds no image ({', '.join(ENDINGS)})")
    return found


def _from_lines(path: Path, task: str) -> Iterator[Question]:
    seen = set[str]()
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        try:
            given = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: this is not JSON ({error})") from error
        question = _question(given, where, path.parent, task, str(number))
        if question.id in seen:
            raise InputError(f"{where}: the id {question.id!r} stands twice")
        seen.add(question.id)
        yield question


def _question(given: object, where: str, folder: Path, task: str, number: str) -> Question:
    if not isinstance(given, dict) or not given.keys() <= KEYS:
        raise InputError(
            f"{where}: a question has {', '.join(sorted(KEYS))}; this is {given!r}"[:300]
        )
    images = given.get("images", [given.get("image")])
    texts = [given.get("text", ""), given.get("task", task), given.get("id", number)]
    if not isinstance(images, list) or not all(isinstance(t, str) for t in [*images, *texts]):
        raise InputError(f"{where}: `image` or `images` name files, and all else is text")
    text, task, identifier = texts
    if task not in Task.known:
        raise InputError(f"{where}: {nearest(task, sorted(Task.known), 'task')}")
    return Question(identifier, task, tuple(str(folder / name) for name in images), text)


class PersonsAnnotations(Sequence[Annotation]):
    """Questions as annotations. An image is looked at when its question's turn has come."""

    def __init__(self, questions: Sequence[Question]) -> None:
        """Keep the questions."""
        self.questions = questions

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: int) -> Annotation:  # type: ignore[override]
        question = self.questions[index]
        sizes = tuple(map(upright_size, question.images))
        return Annotation(
            question.id, question.images, sizes, expression=question.text, question=question.text
        )


def upright_size(path: str) -> tuple[int, int]:
    """(H, W) of an image as its EXIF data turn it; that of a grey one where it cannot be read."""
    try:
        height, width, _ = load_image(Path(path), exif=True).shape
    except ImageError:
        return GREY
    return height, width


def sources_of(questions: Sequence[Question], codec: Codec, file: Path) -> list[LoadedSource]:
    """What is still to be asked, a source for each task.

    Args:
        questions: all of them.
        codec: of the tasks.
        file: with answers that are there already.
    """
    records = list(read_records(file)) if file.is_file() else []
    sources = []
    for task in dict.fromkeys(question.task for question in questions):
        own = [question for question in questions if question.task == task]
        answered = {record["id"] for record in records if record.get("task") == task}
        some = PersonsAnnotations([question for question in own if question.id in answered])
        source = LoadedSource(task, Task.known[task](codec), Path(), some)
        done = {record["id"] for record in still_asked(source, records)}
        left = [question for question in own if question.id not in done]
        if left:
            sources.append(LoadedSource(task, source.task, Path(), PersonsAnnotations(left)))
    return sources
