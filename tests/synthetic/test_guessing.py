"""How far a guesser gets that never looks at the pictures of the further formats.

The best constant answer of each type of question against the best answer of each text, fitted on three quarters of the
records and scored on the rest, in turns; and the one of four options whose text was right most often in the others.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from datamodules.readers import READERS
from datamodules.synthetic.formats import write_format
from vista.data import Annotation

# format: training and test scenes of the world whose part it is; only what is looked at here is large.
SIZES = {
    "grefcoco": (6000, 1),
    "visual_genome": (6000, 1),
    "pointingqa": (6000, 1),
    "visual7w": (6000, 1),
    "vcr": (8000, 1),
    "pope": (1, 700),
    "textvqa": (1, 1000),
    "iconqa": (1, 1000),
}
FOLDS = 4
Record = tuple[str, str, str]  # type, text, answer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "world"
    root.mkdir()
    for name, (
        num_train,
        num_test,
    ) in SIZES.items():  # without COCO, whose pictures are not looked at
        numbers = {"num_train": num_train, "num_val": 1, "num_test": num_test}
        write_format(root, name, {"seed": 7, **numbers, "image_size": 96}, None)
    return root


def folds(number: int) -> Iterable[list[bool]]:
    """Which of so many records are held out, once each."""
    rng = random.Random(0)
    fold = [rng.randrange(FOLDS) for _ in range(number)]
    return ([f == held for f in fold] for held in range(FOLDS))


def majorities(records: list[Record]) -> tuple[float, float]:
    """Accuracy in percent of the commonest answer of the type, and of the text where it has been seen.

    The first is not fitted on other records: a quota makes the answer that is commonest in some rarer in the rest.
    """
    types: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, _, answer in records:
        types[kind][answer] += 1
    by_text = 0
    for held in folds(len(records)):
        texts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for (kind, text, answer), out in zip(records, held, strict=True):
            texts[kind, text][answer] += not out
        by_text += sum(
            (texts[kind, text] + Counter() or types[kind]).most_common(1)[0][0] == answer
            for (kind, text, answer), out in zip(records, held, strict=True)
            if out
        )
    by_type = sum(max(counts.values()) for counts in types.values())
    return 100 * by_type / len(records), 100 * by_text / len(records)


def first_words(number: int) -> Callable[[Annotation], str]:
    return lambda a: " ".join(a.question.split()[:number])


def no_type(a: Annotation) -> str:
    return ""


def form(a: Annotation) -> str:
    """How a gRefCOCO expression is made: by a relation, of two kinds, or as its first word says."""
    words = a.expression.split()
    if {"left", "right", "above", "below"} & {*words}:
        return "related"
    return "and" if "and" in words else words[0]


def amount(a: Annotation) -> str:
    return str(min(len(a.boxes), 2))


CASES = {
    # dataset, split: type of a record, its text, its answer
    ("grefcoco", "train"): (form, lambda a: a.expression, amount),
    ("looktwice", "train"): (
        lambda a: a.extra["granularity"],
        lambda a: a.question,
        lambda a: a.label,
    ),
    ("localqa", "train"): (first_words(2), lambda a: a.question, lambda a: a.label),
    ("visual7w", "train"): (no_type, lambda a: a.question, lambda a: a.label),
    ("visual7w_telling", "train"): (
        first_words(2),
        lambda a: a.question,
        lambda a: a.extra["candidates"][int(a.label)],
    ),
    ("textvqa", "val"): (first_words(2), lambda a: a.question, lambda a: a.label),
    ("iconqa", "test"): (lambda a: a.extra["skills"][0], lambda a: a.question, lambda a: a.label),
    ("pope", "random"): (no_type, lambda a: a.question, lambda a: a.label),
    ("pope", "popular"): (no_type, lambda a: a.question, lambda a: a.label),
    ("pope", "adversarial"): (no_type, lambda a: a.question, lambda a: a.label),
}


@pytest.mark.parametrize(("name", "split"), CASES)
def test_the_text_tells_no_more_than_the_type(world: Path, name: str, split: str) -> None:
    kind, text, answer = CASES[name, split]
    records = [(kind(a), text(a), answer(a)) for a in READERS[name](world, split)]
    constant, known = majorities(records)
    print(f"{name} {split}: n {len(records)}, by type {constant:.1f}, by text {known:.1f}")
    assert len(records) >= 600
    assert known < constant + 2


def best_of_four(
    options: list[list[tuple[str, ...]]], labels: list[int], images: list[str]
) -> float:
    """Accuracy in percent of choosing the option that was right most often, by its text and that of its question.

    All questions of an image are held out together: what is right of one of them is often right of another.
    """
    right = 0
    first = {image: number for number, image in enumerate(dict.fromkeys(images))}
    for held_images in folds(len(first)):
        held = [held_images[first[image]] for image in images]
        seen: Counter[tuple[str, ...]] = Counter()
        good: Counter[tuple[str, ...]] = Counter()
        for texts, label, out in zip(options, labels, held, strict=True):
            if not out:
                seen.update(texts)
                good[texts[label]] += 1
        for texts, label, out in zip(options, labels, held, strict=True):
            if out:
                chances = [(good[text] + 0.25) / (seen[text] + 1) for text in texts]
                right += chances.index(max(chances)) == label
    return 100 * right / len(labels)


def marked(a: Annotation) -> tuple[str, str]:
    """VCR's question, and with its right answer."""
    texts = a.extra["marked"]
    return texts["question"], texts["question"] + texts["answer_choices"][a.extra["answer_label"]]


@pytest.mark.parametrize("mode", ["answer", "rationale"])
@pytest.mark.parametrize("alone", [True, False])
def test_vcr_options_do_not_tell(world: Path, mode: str, alone: bool) -> None:
    found = list(READERS["vcr"](world, "train"))
    labels = [a.extra[f"{mode}_label"] for a in found]
    questions = [marked(a)[mode == "rationale"] for a in found]
    choices = [a.extra["marked"][f"{mode}_choices"] for a in found]
    options = [
        [(text,) if alone else (q, text) for text in texts]
        for q, texts in zip(questions, choices, strict=True)
    ]
    guessed = best_of_four(options, labels, [a.images[0] for a in found])
    print(f"vcr {mode}: n {len(labels)}, by the options {guessed:.1f}")
    assert len(labels) > 15000 and guessed < 28
    assert max(Counter(labels).values()) < 0.28 * len(labels)


def test_iconqa_options_do_not_tell(world: Path) -> None:
    found = list(READERS["iconqa"](world, "test"))
    options = [[(a.question, text) for text in a.extra["choices"]] for a in found]
    guessed = best_of_four(options, [int(a.label) for a in found], [a.images[0] for a in found])
    print(f"iconqa: n {len(found)}, by the options {guessed:.1f}")
    assert guessed < 28


def test_rates_of_answers(world: Path) -> None:
    for setting in READERS["pope"].splits:
        labels = Counter(a.label for a in READERS["pope"](world, setting))
        assert labels["yes"] == labels["no"] > 700
    targets = Counter(amount(a) for a in READERS["grefcoco"](world, "train"))
    assert all(0.25 < number / targets.total() < 0.42 for number in targets.values())
    counts = Counter(a.label for a in READERS["looktwice"](world, "train"))
    assert set(counts) == {"1", "2", "3", "4"} and max(counts.values()) < 0.4 * counts.total()
