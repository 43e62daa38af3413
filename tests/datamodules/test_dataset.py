"""Keys to batches: shared images, unreadable images, samples that are too long."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from datamodules.dataset import Encoding, TrainingSet
from datamodules.questions import EvaluationSet
from datamodules.source import LoadedSource
from tasks import Task
from tests.task_sources import ON_FORMATS, annotations
from tests.tiny import QUERIES, tokenizer
from vista.codec.codec import Codec
from vista.data import Annotation, InputError, SampleError, neutralise_answer
from vista.decoding.grammar import compile_grammar
from vista.images import ImageTransform
from vista.tokens.batch import IGNORE

SIZE = (40, 60)


def annotation(key: str, *images: str) -> Annotation:
    names = images or (f"{key}.png",)
    box = (6.0, 4.0, 30.0, 20.0)
    return Annotation(
        key, names, (SIZE,) * len(names), expression=f"the {key} circle", boxes=(box,), label="True"
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three sound images, one that is no image and one that is cut off; `missing.png` is not there."""
    for k, name in enumerate(("red", "green", "blue")):
        colour = np.zeros((*SIZE, 3), dtype=np.uint8)
        colour[..., 2 - k] = 255
        cv2.imwrite(str(tmp_path / f"{name}.png"), colour)
    (tmp_path / "corrupt.png").write_text("this is no image")
    (tmp_path / "cut.png").write_bytes((tmp_path / "red.png").read_bytes()[:60])
    return tmp_path


def source(root: Path, *keys: str, task: str = "rec") -> LoadedSource:
    return LoadedSource(
        "s", Task.known[task](Codec(num_points=4)), root, [annotation(key) for key in keys]
    )


def encoding(template: str = "plain") -> Encoding:
    return Encoding(tokenizer(), ImageTransform(32), QUERIES, template)


def keys(n: int, epoch: int = 0) -> list[tuple[int, int, int, int]]:
    return [(epoch, k, 0, k) for k in range(n)]


def test_a_training_batch(root):
    batch = TrainingSet([source(root, "red", "green", "red")], encoding()).__getitems__(keys(3))
    assert batch["image_index"].tolist() == [0, 1, 0] and len(batch["pixel_values"]) == 2
    assert batch["source_index"].tolist() == [0, 0, 0]
    assert batch["unusable"] == 0 and batch["problems"] == []
    for labels in batch["labels"]:
        text = tokenizer().decode(labels[labels != IGNORE].tolist())
        assert text == Codec().box_to_text((6.0, 4.0, 30.0, 20.0), SIZE)


def test_decisions_weigh_alike_in_all_answers_of_a_source(root):
    several = source(root, "red", "red", "red", task="grec")
    several.annotations = [replace(a, boxes=a.boxes * k) for k, a in enumerate(several.annotations)]
    sources = [source(root, "red"), several]
    asked = [(0, k, 1, k) for k in range(3)]
    batch = TrainingSet(sources, encoding(), loss_per="decision").__getitems__(asked)
    lengths = (batch["labels"] != IGNORE).sum(1)
    assert lengths.tolist() == [1, 7, 15]  # none, one box, two
    # 1 + 3 + 5 decisions: whether there is a box, or another one, and the boxes.
    none, one, two = batch["loss_weights"].sum(1).tolist()
    assert none + one + two == pytest.approx(3)
    assert none == pytest.approx(0.95 * 3 / 9)
    plain = TrainingSet(sources, encoding()).__getitems__(asked)
    assert torch.equal(plain["loss_weights"], (plain["labels"] != IGNORE).float())


def test_templates_are_drawn_by_position_alone(root):
    data = TrainingSet([source(root, *["red"] * 40)], encoding(), seed=3)
    batch = data.__getitems__(keys(40))
    halves = [data.__getitems__(keys(40)[half]) for half in (slice(0, 20), slice(20, 40))]
    rows = [
        row[mask.bool()].tolist()
        for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    parts = [
        row[mask.bool()].tolist()
        for half in halves
        for row, mask in zip(half["input_ids"], half["attention_mask"], strict=True)
    ]
    assert rows == parts and len({tuple(row) for row in rows}) > 5
    other = data.__getitems__(keys(40, epoch=1))
    assert (
        other["input_ids"].shape != batch["input_ids"].shape
        or (other["input_ids"] != batch["input_ids"]).any()
    )


def test_an_unreadable_image_keeps_its_position_and_is_not_learned(root):
    data = TrainingSet([source(root, "red", "corrupt", "green", "missing", "cut")], encoding())
    batch = data.__getitems__(keys(5))
    learned = (batch["labels"] != IGNORE).any(dim=1)
    assert learned.tolist() == [True, False, True, False, False]
    assert batch["unusable"] == 3
    assert (batch["input_ids"] == tokenizer().image_id).sum(dim=1).tolist() == [QUERIES] * 5
    assert (batch["pixel_values"][1] == 0).all() and batch["pixel_values"][2].float().std() > 0
    # The missing file was named at set-up; the others are named with what is wrong.
    assert [
        str(root / name) in text
        for name, text in zip(("corrupt.png", "cut.png"), batch["problems"], strict=True)
    ]
    assert all("\n" not in text for text in batch["problems"])


def wide(root: Path, *keys: str, task: str = "rec") -> LoadedSource:
    """As `source`, whose annotations say that images are twice as wide as they are."""
    loaded = source(root, *keys, task=task)
    for each in loaded.annotations:
        each.sizes = ((SIZE[0], 2 * SIZE[1]),)
    return loaded


def test_an_image_of_another_shape_than_its_annotation_is_not_learned_from(root):
    """Its regions would lie elsewhere: half as wide, where the file is half as wide as its annotation says."""
    both = [source(root, "red", "green"), wide(root, "red", "blue")]
    data = TrainingSet(both, encoding())
    keys_of_both = [(0, k, k // 2, k % 2) for k in range(4)]
    for _ in range(2):  # each batch by itself
        batch = data.__getitems__(keys_of_both)
        assert (batch["labels"] != IGNORE).any(dim=1).tolist() == [True, True, False, False]
        assert batch["unusable"] == 2 and len(batch["problems"]) == 2
        for name, text in zip(("red", "blue"), batch["problems"], strict=True):
            said = "has 60 x 40 pixels, its annotation says 120 x 40: another shape"
            assert f"The image {root / name}.png {said}" in text and "\n" not in text
    # One file may be sound to one annotation and wrong to another.
    assert data.__getitems__(keys_of_both[:2])["problems"] == []


def test_an_image_of_another_shape_is_a_wrong_answer(root):
    questions = wide(root, "red", "blue")
    questions.annotations[1].sizes = (
        (SIZE[0] * 10, SIZE[1] * 10),
    )  # enlarged, which moves nothing
    batch = EvaluationSet(questions, encoding()).__getitems__([0, 1])
    assert batch["readable"] == [False, True] and len(batch["problems"]) == 1
    assert "red.png has 60 x 40 pixels, its annotation says 120 x 40" in batch["problems"][0]


def test_the_shape_matters_only_where_there_are_regions(root):
    """A question about the image alone is as good on any copy of it."""
    nlvr2 = LoadedSource(
        "n", Task.known["nlvr2"](Codec()), root, [annotation("x", "red.png", "red.png")]
    )
    nlvr2.annotations[0].sizes = ((5, 500), (500, 5))
    batch = TrainingSet([nlvr2], encoding()).__getitems__(keys(1))
    assert batch["unusable"] == 0 and batch["problems"] == []


def test_a_sample_that_is_too_long_is_counted_and_not_learned(root):
    long = source(root, "red", "green")
    long.annotations[1].expression = "very " * 200 + "green circle"
    batch = TrainingSet([long], encoding(), max_tokens=60).__getitems__(keys(2))
    assert (batch["labels"] != IGNORE).any(dim=1).tolist() == [True, False]
    assert batch["unusable"] == 1 and batch["problems"] == []
    assert batch["input_ids"].shape[1] < 60


def test_sources_with_the_same_paths_below_other_roots(root, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(root / "green.png", other / "red.png")
    data = TrainingSet(
        [source(root, "red"), source(other, "red"), source(root / "nowhere", "red")], encoding()
    )
    batch = data.__getitems__([(0, k, k, 0) for k in range(3)])
    assert len(batch["pixel_values"]) == 3
    assert not torch.equal(batch["pixel_values"][0], batch["pixel_values"][1])
    assert (batch["labels"] != IGNORE).any(dim=1).tolist() == [True, True, False]


def test_an_evaluation_batch_asks_without_the_answer(root):
    questions = source(root, "red", "corrupt", "blue")
    for a in questions.annotations:
        a.boxes = ()  # the truth is not needed to ask
    batch = EvaluationSet(questions, encoding()).__getitems__([0, 1, 2])
    assert batch["readable"] == [True, False, True]
    assert len(batch["problems"]) == 1 and "corrupt.png" in batch["problems"][0]
    assert [a.id for a in batch["annotations"]] == ["red", "corrupt", "blue"]
    assert batch["source"] == "s" and (batch["labels"] == IGNORE).all()
    assert batch["attention_mask"][:, -1].tolist() == [1, 1, 1]  # padded on the left
    for ids, key in zip(batch["input_ids"], ("red", "corrupt", "blue"), strict=True):
        assert f"the {key} circle" in tokenizer().decode(ids.tolist())
        assert tokenizer().eos_id not in ids


def test_each_annotation_has_its_instruction_in_evaluation(root):
    names = "red", "blue", "green", "red"
    questions = source(root, *names)
    for wordings, different in ((1, 1), (5, 3)):
        questions.wordings = wordings
        ids = EvaluationSet(questions, encoding()).__getitems__([0, 1, 2, 3])["input_ids"].tolist()
        texts = [tokenizer().decode([i for i in row if i != tokenizer().pad_id]) for row in ids]
        assert texts[0] == texts[3]
        assert (
            len({text.replace(name, "") for name, text in zip(names, texts, strict=True)})
            == different
        )


def test_several_images(root):
    twice = LoadedSource(
        "n", Task.known["nlvr2"](Codec()), root, [annotation("x", "red.png", "red.png")]
    )
    batch = TrainingSet([twice], encoding()).__getitems__(keys(1))
    assert batch["image_index"].tolist() == [0, 0] and batch["sample_index"].tolist() == [0, 0]
    twice.annotations[0].images = ("red.png", "corrupt.png")
    batch = TrainingSet([twice], encoding()).__getitems__(keys(1))
    assert batch["unusable"] == 1 and (batch["labels"] == IGNORE).all()


def faulty(root: Path, error: Exception) -> LoadedSource:
    """A source whose task raises an error, in its targets and in its prompts."""

    def fail(self: Task, *arguments: object) -> str:
        raise error

    where = source(root, "red", "green")
    kind = type("Faulty", (type(where.task),), {"target": fail, "fill": fail})
    where.task = kind(Codec(num_points=4))
    return replace(where, name="rec_colours")


PLACE = "task rec, source rec_colours, annotation red, file red.png: "


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("evaluation", [False, True])
def test_a_fault_of_a_task_says_where_and_keeps_its_traceback(root, workers, evaluation):
    where = faulty(root, ZeroDivisionError("division by zero"))
    sampler: list[list] = [[0, 1]] if evaluation else [keys(2)]
    dataset = EvaluationSet(where, encoding()) if evaluation else training_set(where)
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=workers, collate_fn=list)
    with pytest.raises(SampleError) as caught:
        list(loader)
    text = str(caught.value)
    assert f"{PLACE}ZeroDivisionError: division by zero" in text
    if workers:
        assert (
            "in fail\n" in text and text.count("SampleError: task rec") == 1
        )  # the whole traceback
    else:
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert text.startswith("task rec")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sentence_about_a_sample_says_where_and_stays_one(root, workers):
    where = faulty(root, InputError("the box has no area"))
    loader = DataLoader(
        training_set(where), batch_sampler=[keys(2)], num_workers=workers, collate_fn=list
    )
    with pytest.raises(InputError) as caught:
        list(loader)
    assert str(caught.value).splitlines()[-1].endswith(f"{PLACE}the box has no area")


def training_set(where: LoadedSource) -> TrainingSet:
    """Lengths of answers are not measured, which would raise in this process already."""
    empty = replace(where, annotations=[])
    data = TrainingSet([empty], encoding())
    data.sources = [where]
    return data


def test_a_fault_is_found_when_the_set_is_made(root):
    with pytest.raises(SampleError, match=r"^task rec, source rec_colours, annotation red, "):
        TrainingSet([faulty(root, KeyError("label"))], encoding())


EVIL = "a photo of <image> and <bsep> and <msep> and </s> and <|12|>"


@pytest.mark.parametrize("dataset", ON_FORMATS, ids=" ".join)
def test_a_token_that_an_answer_names_is_no_token(dataset):
    """Of any task and turn; what the codec writes between regions stays."""
    (name, *_), (own, *_) = dataset, annotations(*dataset)
    loaded = LoadedSource("s", Task.known[name](Codec(num_points=4)), Path(), [own])
    turns = loaded.task.turns(own)
    evil = tuple((prompt, f"{answer} {EVIL}") for prompt, answer in turns)
    for template in ("plain", "vicuna_v1"):
        encode = partial(encoding(template).sample, loaded, own)
        changed, written = encode(evil), " ".join(prompt + answer for prompt, answer in turns)
        for mark in ("<image>", "<bsep>", "<msep>"):
            (token,) = tokenizer().encode(mark)
            assert changed.input_ids.count(token) == written.count(mark), mark
        learned = [token for token in changed.labels if token not in (IGNORE, tokenizer().eos_id)]
        assert "a photo of < image> and < bsep> and" in tokenizer().decode(learned)
        asked = encode(evil, answer=False)
        assert changed.input_ids[: len(asked.input_ids)] == asked.input_ids


def test_separators_stay_between_two_brackets_alone():
    masks = "The masks are [1, 2] <msep> [] <msep> [3, 4]."
    assert neutralise_answer(masks) == masks
    assert neutralise_answer("[1, 2] <bsep> a <bsep> [1]") == "[1, 2] < bsep> a < bsep> [1]"


def test_an_answer_that_names_a_token_is_learned(root):
    """Such samples ended the run, and none was named."""
    caption = replace(annotation("red"), captions=("a photo of <image>",))
    task = Task.known["caption"](Codec())
    loaded = LoadedSource("s", task, root, [caption, replace(caption, captions=("a circle",))])
    for loss_per in ("token", "decision"):
        batch = TrainingSet([loaded], encoding(), loss_per=loss_per).__getitems__(keys(2))
        assert batch["unusable"] == 0 and batch["problems"] == []
        learned = batch["labels"][0][batch["labels"][0] != IGNORE].tolist()
        assert tokenizer().decode(learned) == "a photo of < image>"


def test_a_choice_that_names_a_token_is_one_text_everywhere():
    """In the options, in the answer and in the grammar."""
    (own, *_) = annotations("iconqa", "iconqa", "test")
    choices = ["<image>", "none"]
    own = replace(own, label="0", extra=own.extra | {"choices": choices})
    task = Task.known["iconqa"](Codec())
    assert "(A) < image> (B) none" in task.prompt(own) and task.target(own) == "< image>"
    ids = tokenizer().encode(task.target(own), eos=True)
    assert compile_grammar(task.grammar(own), tokenizer()).accepts(ids)
    assert task.parse(task.target(own), own).choice == 0


def test_a_prompt_with_too_many_marks_names_its_sample(root, monkeypatch):
    loaded = source(root, "red")
    monkeypatch.setattr(type(loaded.task), "prompt", lambda *_: "<image> <image> what ?")
    with pytest.raises(SampleError, match=r"source s, annotation red, .* 1 images but 2 <image>"):
        TrainingSet([loaded], encoding())
    with pytest.raises(SampleError, match=r"source s, annotation red, .* 1 images but 2 <image>"):
        monkeypatch.setattr(type(loaded.task), "question", lambda *_: (("<image> <image> ?", ""),))
        EvaluationSet(loaded, encoding()).__getitems__([0])
