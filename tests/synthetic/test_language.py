"""A second reading of every sentence about one scene of the generated world.

The truth is taken from the written boxes and categories. Sentences are read by the small parser below, which knows
nothing of how they were made.
"""

import json
import pickle
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from datamodules.synthetic.language import sentences
from datamodules.synthetic.world import write_world

COLORS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "ring")
APART = 6  # pixels between the boxes' centres; the boxes of cut objects and triangles are not quite centred


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "world"
    write_world(root, seed=5, num_train=300, num_val=40, num_test=120, num_workers=1)
    return root


class Thing(NamedTuple):
    size: str
    color: str
    shape: str
    x: float
    y: float


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def things(document: dict[str, Any]) -> dict[int, dict[int, Thing]]:
    """image id -> annotation id -> what is there."""
    names = {category["id"]: category["name"].split() for category in document["categories"]}
    found: dict[int, dict[int, Thing]] = defaultdict(dict)
    for record in document["annotations"]:
        x, y, w, h = record["bbox"]
        size = "small" if max(w, h) < 21 else "large"
        found[record["image_id"]][record["id"]] = Thing(
            size, *names[record["category_id"]], x + w / 2, y + h / 2
        )
    return found


def fits(words: str, thing: Thing) -> bool:
    parts = [word for word in words.split() if word not in ("object", "one", "objects")]
    return all(part.removesuffix("s") in (thing.size, thing.color, thing.shape) for part in parts)


RELATIONS = {"left of": ("x", -1), "right of": ("x", 1), "above": ("y", -1), "below": ("y", 1)}
PLACES = {"left": "left of", "right": "right of", "top": "above", "bottom": "below"}


def related(a: Thing, relation: str, b: Thing) -> bool:
    axis, sign = RELATIONS[relation]
    distance = sign * (getattr(a, axis) - getattr(b, axis))
    assert abs(distance) > APART, "the relation is not clear"
    return distance > 0


def referred(text: str, scene: dict[int, Thing]) -> list[int]:
    """The objects that "the ..." may mean."""
    match = re.fullmatch(r"the (.+) (left of|right of|above|below) (the .+)", text)
    if match:
        words, relation, other = match.groups()
        (anchor,) = referred(other, scene)
        rest = [key for key, thing in scene.items() if key != anchor and fits(words, thing)]
        return [key for key in rest if related(scene[key], relation, scene[anchor])]
    match = re.fullmatch(r"the (left|right|top|bottom)(?:most)? (.+)", text)
    place, words = match.groups() if match else ("", text.removeprefix("the "))
    match = re.fullmatch(r"the (.+) (?:on|at) the (left|right|top|bottom)", text)
    words, place = match.groups() if match else (words, place)
    found = [key for key, thing in scene.items() if fits(words, thing)]
    if not place:
        return found
    assert len(found) > 1, "a place that is not needed"
    axis, sign = RELATIONS[PLACES[place]]
    first, second, *_ = sorted(found, key=lambda key: -sign * getattr(scene[key], axis))
    assert related(scene[first], PLACES[place], scene[second])
    return [first]


def answer(question: str, scene: dict[int, Thing]) -> str:
    if match := re.fullmatch(r"what (color|shape|size) is (the .+)\?", question):
        (key,) = referred(match[2], scene)
        return getattr(scene[key], match[1])
    if match := re.fullmatch(r"how many (.+) are there\?", question):
        return str(sum(fits(match[1], thing) for thing in scene.values()))
    if match := re.fullmatch(r"is there an? (.+?)(?: in the (?:image|picture))?\?", question):
        return "yes" if any(fits(match[1], thing) for thing in scene.values()) else "no"
    if match := re.fullmatch(r"is (the .+) (left of|right of|above|below) (the .+)\?", question):
        (a,), (b,) = referred(match[1], scene), referred(match[3], scene)
        return "yes" if related(scene[a], match[2], scene[b]) else "no"
    match = re.fullmatch(r"is (the .+) (\w+)\?", question)
    assert match, question
    (key,) = referred(match[1], scene)
    return "yes" if match[2] in scene[key][:3] else "no"


def test_captions_name_all_objects(world: Path) -> None:
    document = load(world / "coco/annotations/captions_val2017.json")
    scenes = things(load(world / "coco/annotations/instances_val2017.json"))
    captions: dict[int, list[str]] = defaultdict(list)
    for record in document["annotations"]:
        captions[record["image_id"]].append(record["caption"])
    assert set(captions) == set(scenes)
    numbers = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4}
    for image, texts in captions.items():
        assert len(set(texts)) == 5
        truth = Counter(" ".join(thing[:3]) for thing in scenes[image].values())
        for text in texts:
            assert text == text.lower() and text.endswith(".")
            said: Counter[str] = Counter()
            for number, words in re.findall(
                r"\b(an?|two|three|four) ((?:small|large) \w+ \w+)", text
            ):
                said[words.removesuffix("s")] += numbers[number]
            assert said == truth, text


def test_refcoco_expressions_identify_one_object(world: Path) -> None:
    refs = pickle.loads((world / "refer/refcoco/refs(unc).p").read_bytes())
    document = load(world / "refer/refcoco/instances.json")
    assert document["type"] == "instances"
    assert all(
        re.fullmatch(r"COCO_train2014_\d{12}\.jpg", record["file_name"])
        for record in document["images"]
    )
    scenes = things(document)
    objects = {record["id"]: record for record in document["annotations"]}
    splits, sentences_seen = Counter(), []
    for ref in refs:
        assert set(ref) == {
            *(
                "sent_ids",
                "file_name",
                "ann_id",
                "ref_id",
                "image_id",
                "split",
                "sentences",
                "category_id",
            ),
        }
        record, scene = objects[ref["ann_id"]], scenes[ref["image_id"]]
        assert (record["image_id"], record["category_id"]) == (ref["image_id"], ref["category_id"])
        assert ref["file_name"].startswith(f"COCO_train2014_{ref['image_id']:012d}_")
        assert ref["sent_ids"] == [sentence["sent_id"] for sentence in ref["sentences"]]
        assert len(ref["sentences"]) in (1, 2, 3, 4)
        for sentence in ref["sentences"]:
            assert (
                sentence["tokens"] == sentence["sent"].split()
                and sentence["raw"] == sentence["sent"]
            )
            assert referred(sentence["sent"], scene) == [ref["ann_id"]], sentence["sent"]
            sentences_seen.append(sentence)
        splits[ref["split"]] += 1
        size = scene[ref["ann_id"]].size
        assert size == {"testA": "large", "testB": "small"}.get(ref["split"], size)
    assert (
        splits["train"] > 0.98 * 1.975 * 300
        and min(splits[s] for s in ("val", "testA", "testB")) > 40
    )
    assert len({sentence["sent_id"] for sentence in sentences_seen}) == len(sentences_seen)
    forms = Counter(
        re.findall(
            r" of | above | below | left|right|most|top|bottom",
            " ".join(s["sent"] for s in sentences_seen),
        )
    )
    assert len(forms) == 8


@pytest.mark.parametrize(
    ("subtype", "folder"), [("train2014", "train2017"), ("val2014", "val2017")]
)
def test_vqa_answers_are_right_and_balanced(world: Path, subtype: str, folder: str) -> None:
    asked = load(world / f"vqav2/v2_OpenEnded_mscoco_{subtype}_questions.json")
    answered = load(world / f"vqav2/v2_mscoco_{subtype}_annotations.json")
    assert set(asked) == {"info", "task_type", "data_type", "license", "data_subtype", "questions"}
    assert set(answered) == {"info", "license", "data_type", "data_subtype", "annotations"}
    scenes = things(load(world / f"coco/annotations/instances_{folder}.json"))
    texts = {record["question_id"]: record for record in asked["questions"]}
    by_type: dict[str, Counter[str]] = defaultdict(Counter)
    by_form: dict[str, Counter[str]] = defaultdict(Counter)
    for record in answered["annotations"]:
        question = texts[record["question_id"]]["question"]
        assert (
            record["question_id"] // 1000
            == record["image_id"]
            == texts[record["question_id"]]["image_id"]
        )
        truth = record["multiple_choice_answer"]
        assert answer(question, scenes[record["image_id"]]) == truth, question
        assert [a["answer_id"] for a in record["answers"]] == list(range(1, 11))
        assert {a["answer"] for a in record["answers"]} == {truth}
        assert {a["answer_confidence"] for a in record["answers"]} == {"yes"}
        assert question.startswith(record["question_type"])
        wanted = "yes/no" if truth in ("yes", "no") else "number" if truth.isdigit() else "other"
        assert record["answer_type"] == wanted
        by_type[record["question_type"]][truth] += 1
        words = [
            w for w in re.findall(r"\w+", question) if w not in (*COLORS, *SHAPES, "small", "large")
        ]
        by_form[" ".join(words)][truth] += 1
    total = len(answered["annotations"])
    assert total == len(texts) > 4.9 * len(scenes)
    majority = sum(max(counts.values()) for counts in by_type.values()) / total
    assert 0.37 < majority < 0.46
    yes_no = sum(sum(by_type[t].values()) for t in ("is there a", "is the"))
    assert 0.45 < yes_no / total < 0.55
    for kind in ("is there a", "is the"):
        assert abs(by_type[kind]["yes"] / sum(by_type[kind].values()) - 0.5) < 0.03
    assert max(by_type["how many"].values()) < 0.5 * sum(by_type["how many"].values())


def test_sentences_hold_the_whole_vocabulary(world: Path) -> None:
    words = {word for text in sentences(0, 2000) for word in re.findall(r"\w+|[.,?]", text)}
    captions = load(world / "coco/annotations/captions_train2017.json")["annotations"]
    asked = load(world / "vqav2/v2_OpenEnded_mscoco_train2014_questions.json")["questions"]
    refs = pickle.loads((world / "refer/refcoco/refs(unc).p").read_bytes())
    statements = [
        json.loads(line)["sentence"]
        for line in (world / "nlvr2/train.json").read_text().splitlines()
    ]
    texts = [*(r["caption"] for r in captions), *(r["question"] for r in asked), *statements]
    texts += [sentence["sent"] for ref in refs for sentence in ref["sentences"]]
    assert {word for text in texts for word in re.findall(r"\w+|[.,?]", text)} <= words
    assert len(words) < 120
    assert sentences(0, 50) == sentences(0, 50) != sentences(1, 50)
