"""easy-VQA: questions about one coloured shape. An outside dataset and its task, in one file.

    "does the image not contain a teal shape?" -> "yes"

https://github.com/vzhou842/easy-VQA (MIT). The PyPI package `easy-vqa` holds the official files; they are read where it
is installed.

    easy_vqa/data/train/questions.json      [["what is the blue shape?", "rectangle", 0], ...]: question, answer, image
    easy_vqa/data/train/images/0.png        64 x 64
    easy_vqa/data/test/...                  the same

`--plugin examples/easy_vqa.py`, or the key `plugin` of a config (examples/easy_vqa.yaml), makes both known.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from datamodules.readers import READERS
from datamodules.readers.official import Official
from datamodules.readers.reader import Reader
from vista import Annotation, Choice, Evaluator, Grammar, Prediction, Task
from vista.data import InputError, MissingFileError, Reference
from vista.metrics.evaluator import percent
from vista.task import commonest

SHAPES = ("circle", "rectangle", "triangle")
COLORS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
ANSWERS = ("yes", "no", *SHAPES, *COLORS)


class EasyVQAReader(Reader):
    """One annotation per question. The data root is any folder above the installed package; `/` always is.

    The split `train_words` is `train` without the questions that are answered by yes or no.
    """

    name = "easy_vqa"
    fields = frozenset({"question", "label", "sizes"})
    splits = ("train", "train_words", "test")
    source = "https://pypi.org/project/easy-vqa"

    def _annotations(self) -> Iterator[Annotation]:
        try:
            folder = Path(str(files("easy_vqa"))) / "data" / self.split.removesuffix("_words")
        except ModuleNotFoundError as error:
            raise MissingFileError(
                f"{self.name} needs the package of that name: pip install easy-vqa"
            ) from error
        if not folder.is_relative_to(self.root.resolve()):
            raise InputError(
                f"{self.name} lies in {folder}, which is not below the data root {self.root}; / is always above it"
            )
        below = folder.relative_to(self.root.resolve()).as_posix()
        questions = Official(self, self.file(f"{below}/questions.json")).content
        for number, (question, answer, image) in enumerate(questions):
            if answer not in ANSWERS:
                self.leave_out(
                    number, f"the answer {answer!r} is none of the {len(ANSWERS)} official ones"
                )
            elif self.split != "train_words" or answer not in ("yes", "no"):
                images = (f"{below}/images/{image}.png",)
                yield Annotation(
                    str(number), images, sizes=((64, 64),), question=question, label=answer,
                    photos=((f"easy_vqa {folder.name}/{image}",),),
                )  # fmt: skip


class Accuracy(Evaluator):
    """Share of right answers. Reference: `{"answer": str}`; keys: `accuracy`, `accuracy_yes_no`, `accuracy_other`."""

    def __init__(self) -> None:
        super().__init__("right_yes_no", "n_yes_no", "right_other", "n_other")

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        kind = "yes_no" if ref["answer"] in ("yes", "no") else "other"
        return {f"right_{kind}": float(pred.answer == ref["answer"]), f"n_{kind}": 1}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        right = total["right_yes_no"] + total["right_other"]
        return {
            "accuracy": percent(right, total["n"]),
            "accuracy_yes_no": percent(total["right_yes_no"], total["n_yes_no"]),
            "accuracy_other": percent(total["right_other"], total["n_other"]),
        }


class EasyVQATask(Task):
    """Question to one of thirteen answers."""

    name = "easy_vqa"
    fields = frozenset({"question", "label"})
    headline = "accuracy"
    baseline_name = "majority answer to each question"
    templates = ("<image> <question>",)

    def target(self, annotation: Annotation) -> str:
        return annotation.label

    def grammar(self, annotation: Annotation) -> Grammar:
        return (Choice(ANSWERS),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        answer = text.strip()
        return Prediction(text=text, answer=answer, malformed=answer not in ANSWERS)

    def reference(self, annotation: Annotation) -> Reference:
        return {"answer": annotation.label}

    def evaluator(self) -> Accuracy:
        return Accuracy()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        labels: dict[str, list[str]] = defaultdict(list)
        for a in annotations:
            labels[a.question].append(a.label)
        majority = {question: commonest(given) for question, given in labels.items()}
        return [self.parse(majority[a.question], a) for a in annotations]


READERS["easy_vqa"] = EasyVQAReader
