"""A second reading of the further formats: what they say against what is in the picture.

The truth is taken from files that say less: boxes with category names (gRefCOCO), phrases of single objects (Visual
Genome), the drawn scene (VCR, TextVQA) or the colors of the pixels. The parser is that of test_synthetic_language.py.
"""

import json
import re
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from datamodules.readers import READERS
from datamodules.synthetic import coseg, groupwise_res
from datamodules.synthetic.drawing import draw_kinds, draw_scene
from datamodules.synthetic.iconqa import problem
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.scene import COLORED_SHAPES, Scene
from datamodules.synthetic.streams import generator
from tests.synthetic.test_formats import SMALL, small_world
from tests.synthetic.test_language import Thing, answer, fits, referred, related, things
from vista.data import Annotation
from vista.geometry import decode_segmentation

RGB = {"red": (214, 38, 40), "green": (40, 160, 56), "blue": (42, 76, 218)}
RGB |= {"yellow": (238, 218, 48), "purple": (148, 56, 186), "orange": (244, 136, 28)}
NUMBERS = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4}
Scenes = dict[int, dict[int, Thing]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_world(tmp_path_factory)


def read(world: Path, name: str, split: str) -> list[Annotation]:
    return list(READERS[name](world, split))


def load(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def genome(world: Path) -> Scenes:
    """Image -> region -> what is there, by the phrases of single objects."""
    found: Scenes = defaultdict(dict)
    for a in read(world, "visual_genome", "all"):
        if match := re.fullmatch(r"an? (small|large) (\w+) (\w+)", a.expression):
            x0, y0, x1, y1 = a.boxes[0]
            found[a.extra["image_id"]][int(a.id)] = Thing(
                *match.groups(), (x0 + x1) / 2, (y0 + y1) / 2
            )
    return found


def is_colored(image: np.ndarray, mask: np.ndarray, color: str) -> bool:
    """Whether the mean of the mask's pixels, of an image (H, W, 3) in RGB, is nearest to a color."""
    mean = np.median(image[mask], axis=0)
    return min(RGB, key=lambda name: float(np.abs(mean - RGB[name]).sum())) == color


def image_of(world: Path, path: str) -> np.ndarray:
    return cv2.imread(str(world / path))[..., ::-1]


def test_grefcoco_targets(world: Path) -> None:
    scenes = things(load(world / "grefcoco/instances.json"))
    amounts: Counter[int] = Counter()
    for split in ("train", "val", "testA", "testB"):
        for a in read(world, "grefcoco", split):
            scene = scenes[int(a.images[0][-16:-4])]
            if match := re.fullmatch(
                r"all objects (left of|right of|above|below) (the .+)", a.expression
            ):
                (anchor,) = referred(match[2], scene)
                wanted = {
                    key
                    for key in scene
                    if key != anchor and related(scene[key], match[1], scene[anchor])
                }
            else:
                parts = [
                    re.sub("^(all|every|the) ", "", part) for part in a.expression.split(" and ")
                ]
                wanted = {
                    key for key, thing in scene.items() if any(fits(part, thing) for part in parts)
                }
            assert set(a.extra["ann_ids"]) == wanted, a.expression
            amounts[min(len(wanted), 2)] += 1
    assert min(amounts.values()) > 0.22 * sum(amounts.values())


def test_visual_genome_regions(world: Path, genome: Scenes) -> None:
    pairs = 0
    for a in read(world, "visual_genome", "all"):
        image, (x0, y0, x1, y1) = image_of(world, a.images[0]), map(int, a.boxes[0])
        inside = {
            k: t for k, t in genome[a.extra["image_id"]].items() if x0 < t.x < x1 and y0 < t.y < y1
        }
        if match := re.fullmatch(r"an? (\w+ \w+) (left of|above) an? (\w+ \w+)", a.expression):
            first, second = sorted(
                inside.values(), key=lambda t: t.x if match[2] == "left of" else t.y
            )
            assert (
                fits(match[1], first)
                and fits(match[3], second)
                and related(first, match[2], second)
            )
            pairs += 1
        else:
            assert list(inside) == [int(a.id)] and image[y0:y1, x0:x1].size
    assert pairs > 100 and len(genome) == 100 + 40 + 120
    assert sum(len(scene) == 4 for scene in genome.values()) > 0.55 * len(genome)
    ids = load(world / "visual_genome/densecap_splits.json")
    assert {key: len(found) for key, found in ids.items()} == {"train": 100, "val": 40, "test": 120}


def pointed(scene: dict[int, Thing], box: tuple[float, ...], point: list[int]) -> Thing:
    (found,) = [t for t in scene.values() if box[0] < t.x < box[2] and box[1] < t.y < box[3]]
    assert abs(found.x - point[0]) <= 1 and abs(found.y - point[1]) <= 1
    return found


@pytest.mark.parametrize("split", ["train", "test"])
def test_pointingqa_answers(world: Path, genome: Scenes, split: str) -> None:
    for a in read(world, "looktwice", split):
        scene = genome[a.extra["image_id"]]
        shape = pointed(scene, a.boxes[0], a.extra["point"]).shape
        assert a.label == str(sum(thing.shape == shape for thing in scene.values()))
        named = {"object": f" {shape}s", "superclass": " shapes", "any": ""}[a.extra["granularity"]]
        assert a.question == f"how many of these{named} are there?"
    for a in read(world, "localqa", split if split == "train" else "testdev"):
        scene = genome[a.extra["image_id"]]
        attribute, words = re.fullmatch(r"what (color|shape) is the (.+)\?", a.question).groups()
        thing = pointed(scene, a.boxes[0], a.extra["point"])
        assert fits(words, thing) and a.label == getattr(thing, attribute)
        assert (
            len({getattr(other, attribute) for other in scene.values() if fits(words, other)}) > 1
        )


def test_visual7w_pointing(world: Path, genome: Scenes) -> None:
    for a in read(world, "visual7w", "train") + read(world, "visual7w", "test"):
        scene = genome[a.extra["image_id"]]
        order = [
            next(k for k, t in scene.items() if b[0] < t.x < b[2] and b[1] < t.y < b[3])
            for b in a.boxes
        ]
        assert len(set(order)) == 4
        words = a.question.removeprefix("which object is ").removesuffix("?")
        if match := re.fullmatch(r"(left of|right of|above|below) (the .+)", words):
            (anchor,) = referred(match[2], scene)
            found = [
                key
                for key in scene
                if key != anchor and related(scene[key], match[1], scene[anchor])
            ]
        else:
            found = [key for key, thing in scene.items() if fits(words.removeprefix("the "), thing)]
        assert found == [order[int(a.label)]], a.question


def test_visual7w_telling(world: Path, genome: Scenes) -> None:
    kinds: Counter[str] = Counter()
    for a in read(world, "visual7w_telling", "train") + read(world, "visual7w_telling", "test"):
        scene, said = (
            genome[a.extra["image_id"]],
            a.extra["candidates"][int(a.label)].removesuffix("."),
        )
        kinds[a.extra["type"]] += 1
        if a.extra["type"] == "where":
            (key,) = referred(a.question.removeprefix("where is ").removesuffix("?"), scene)
            dx, dy = scene[key].x - 48, scene[key].y - 48
            far = (
                "on the right" if dx > 0 else "on the left",
                "at the bottom" if dy > 0 else "at the top",
            )
            assert said == (
                "in the middle" if max(abs(dx), abs(dy)) < 14 else far[abs(dy) > abs(dx)]
            )
        else:
            truth = answer(a.question, scene)
            assert said == truth or str(NUMBERS.get(said)) == truth
    assert set(kinds) == {"where", "what", "how"} and min(kinds.values()) > 20


def test_flickr_phrases_have_the_boxes_of_what_they_name(world: Path) -> None:
    shared = 0
    for a in read(world, "flickr30k_entities", "train"):
        image = image_of(world, a.images[0])
        for phrase in a.extra["phrases"]:
            words = phrase["phrase"].split()
            if phrase["types"] != ["other"]:
                assert phrase["boxes"] == [] and phrase["types"][0] in ("notvisual", "scene")
                continue
            number = 1 if words[0] in ("a", "an") else NUMBERS[words[0]]
            assert len(phrase["boxes"]) == number
            shared += number > 1
            for x0, y0, x1, y1 in (map(int, a.boxes[i]) for i in phrase["boxes"]):
                if len(words) == 4:
                    assert words[1] == ("small" if max(x1 - x0, y1 - y0) < 21 else "large")
                    part = np.abs(image[y0:y1, x0:x1].astype(int) - RGB[words[2]]).max(-1) < 30
                    assert part.mean() > 0.2
    assert shared > 40


def drawn(stream: str, index: int) -> Scene:
    rng = generator(SMALL["seed"], stream, index)
    return draw_scene(rng, draw_kinds(rng, 4))


def is_true(text: str, scene: Scene) -> bool:
    """Whether a sentence of VCR holds; objects are written <0>, <1>, ..."""
    text = text.removeprefix("because ").removesuffix(".")
    items = [scene.objects[int(k)] for k in re.findall(r"<(\d)>", text)]
    kinds = [item.kind for item in scene.objects]
    if match := re.search(r"(left of|right of|above|below)", text):
        near = [Thing(*item.kind, item.x, item.y) for item in scene.objects]
        first, second = (re.sub("^an? ", "", part) for part in text.split(f" is {match[1]} "))
        lefts = [t for t in near if fits(first, t)]
        rights = (
            [near[int(re.findall(r"<(\d)>", text)[0])]]
            if items
            else [t for t in near if fits(second, t)]
        )
        margin, axis = 8, "x" if match[1] in ("left of", "right of") else "y"
        sign = -1 if match[1] in ("left of", "above") else 1
        return any(
            sign * (getattr(a, axis) - getattr(b, axis)) >= margin for a in lefts for b in rights
        )
    attribute = next((name for name in ("color", "shape") if name in text.split()), "")
    if attribute:
        values = [getattr(item.kind, attribute) for item in items]
        if text.startswith("nothing"):
            return [getattr(kind, attribute) for kind in kinds].count(values[0]) == 1
        return values[0] == values[1]
    value = text.split()[-1].removesuffix("s")
    right = all(value in item.kind for item in items)
    return right and (not text.startswith("only") or sum(value in kind for kind in kinds) == 1)


@pytest.mark.parametrize("split", ["train", "val"])
def test_vcr_has_one_true_answer_and_reason(world: Path, split: str) -> None:
    read_ = read(world, "vcr", split)
    assert len(read_) > (7 * 112 if split == "train" else 1.5 * 60)
    assert len({(a.images, a.extra["marked"]["question"]) for a in read_}) == len(read_)
    for a in read_:
        scene = drawn(f"vcr_{split}", int(a.images[0].split("/")[-1].split("@")[0]))
        assert [tuple(map(float, item.box)) for item in scene.objects] == list(a.boxes)
        for name in ("answer", "rationale"):
            texts = a.extra["marked"][f"{name}_choices"]
            assert len(set(texts)) == 4
            assert [is_true(text, scene) for text in texts] == [
                i == a.extra[f"{name}_label"] for i in range(4)
            ], texts
    for path in {a.images[0] for a in read_[:20]}:
        scene = drawn(f"vcr_{split}", int(path.split("/")[-1].split("@")[0]))
        for item, loops in zip(
            scene.objects, load(world / path.replace(".jpg", ".json"))["segms"], strict=True
        ):
            mask = decode_segmentation(
                [[v for point in loop for v in point] for loop in loops], item.mask.shape
            )
            assert (mask & item.mask).sum() == item.mask.sum(), "the outer outline holds the object"


def test_llava_answers(world: Path) -> None:
    scenes = things(load(world / "coco/annotations/instances_train2017.json"))
    for a in read(world, "llava_instruct", "train"):
        scene = scenes[int(a.id.split("_")[0])]
        for question, said in a.extra["turns"]:
            question = question.replace("<image>", "").strip()
            if question in ("describe the image in detail.", "what do you see in the image?"):
                named = Counter(
                    " ".join(words) for words in re.findall(r"an? (\w+) (\w+) (\w+) is", said)
                )
                assert named == Counter(" ".join(thing[:3]) for thing in scene.values())
            elif question.startswith("what do"):
                for number, word in re.findall(r"(\w+) of them are (\w+)", said):
                    count = sum(word.removesuffix("s") in thing[:3] for thing in scene.values())
                    assert count == (len(scene) if number == "all" else NUMBERS[number])
            else:
                truth = answer(question, scene)
                words = re.findall(r"\w+", said)
                assert truth in words or int(truth) == next(
                    NUMBERS[word] for word in words if word in NUMBERS
                )
                assert truth in ("yes", "no") or words[0] not in ("yes", "no")
                assert (words[0] == "no") == bool(
                    {"not", "no"} & set(words[1:])
                ) or not truth.isalpha()


def test_pope_labels(world: Path) -> None:
    scenes = things(load(world / "coco/annotations/instances_val2017.json"))
    for setting in READERS["pope"].splits:
        found = read(world, "pope", setting)
        for a in found:
            words = re.fullmatch(r"is there an? (\w+ \w+) in the image\?", a.question)[1]
            assert a.label == (
                "yes"
                if any(fits(words, t) for t in scenes[int(a.images[0][-16:-4])].values())
                else "no"
            )
        assert [a.label for a in found] == ["yes", "no"] * (len(found) // 2)
        assert set(Counter(a.images[0] for a in found).values()) == {6}


def test_textvqa_writes_the_answer_on_the_object(world: Path) -> None:
    for a in read(world, "textvqa", "val"):
        index = int(a.images[0].split("/")[-1].removesuffix(".jpg"), 16) % 1_000_000
        words = wording(SMALL["seed"], "textvqa_val", index)
        rng = generator(SMALL["seed"], "textvqa_val", index)
        scene = draw_scene(
            rng, [kind._replace(size="large") for kind in draw_kinds(rng, words.choice((2, 3)))]
        )
        kind, phrase = re.fullmatch(r"what (number|word) is on (the .+)\?", a.question).groups()
        (key,) = referred(
            phrase, {i: Thing(*item.kind, item.x, item.y) for i, item in enumerate(scene.objects)}
        )
        changed = np.abs(image_of(world, a.images[0]).astype(int) - scene.image).max(-1) > 60
        x0, y0, x1, y1 = scene.objects[key].box
        assert changed[y0:y1, x0:x1].sum() > 8, "something is written there"
        assert a.label.isdigit() == (kind == "number") and set(a.answers) == {a.label}


def test_iconqa_answers() -> None:
    for number in range(300):
        found = problem(number, wording(0, "iconqa_test", number))
        right = found.choices[found.answer]
        names = [" ".join(kind).strip() if kind else "?" for kind in found.icons]
        assert len(names) == 6 and len(set(found.choices)) == 4
        if found.skill == "counting":
            shape = re.fullmatch(r"how many (\w+)s are there\?", found.question)[1]
            assert right == str(sum(shape in name for name in names))
        elif found.skill == "pattern":
            periods = [p for p in (2, 3) if all(names[i] == names[i + p] for i in range(5 - p))]
            assert names[5] == "?" and {names[5 - p] for p in periods} == {right}
        else:
            assert Counter(names) == Counter(
                {right: 1, next(name for name in names if name != right): 5}
            )


def test_memes_are_mean_where_they_mock_what_is_there(world: Path) -> None:
    for a in read(world, "hateful_memes", "test_seen"):
        *_, color, shape = a.expression.split()
        image = image_of(world, a.images[0])
        there = (np.abs(image[14:-14].astype(int) - RGB[color]).max(-1) < 30).sum() > 30
        assert image.shape == (124, 96, 3) and (there or a.label == "0")
        assert (
            image[:14].max() > 200
            and image[-14:].max() > 200
            and shape in ("circle", "square", "triangle", "ring")
        )


@pytest.mark.parametrize("split", ["pascal", "msrc", "icoseg"])
def test_coseg_masks_are_of_the_class(world: Path, split: str) -> None:
    for a in read(world, "coseg", split):
        words = re.split("[_ ]", a.extra["class"])
        masks = [
            decode_segmentation(s, size) for s, size in zip(a.segmentations, a.sizes, strict=True)
        ]
        assert all(
            is_colored(image_of(world, p), m, words[-2])
            for p, m in zip(a.images, masks, strict=True)
        )
        assert len(masks) == 4


# Which images of a group hold what it is about.
HOLDING = {"train": [k for k in range(16) if k % 4], "val": [1, 3, 5, 7]}


def test_coseg_groups_of_the_2014_release(world: Path) -> None:
    """Each image holds one object of the class, under a name that is true of it; the groups are as many as promised."""
    scenes = things(load(world / "coco/annotations/instances_train2017.json"))
    found = read(world, "coseg_groups", "train2014")
    assert len(found) > 2 * SMALL["num_train"]
    assert len({(frozenset(a.images), a.extra["class"]) for a in found}) == len(found)
    for a in found:
        size, color, shape, place = re.fullmatch(
            r"(small|large)? ?(\w+) (\w+)(?: (?:on|at) the (\w+))?", a.extra["class"]
        ).groups()
        for path, segmentation, (height, width) in zip(
            a.images, a.segmentations, a.sizes, strict=True
        ):
            own = [t for t in scenes[int(path[-16:-4])].values() if t[1:3] == (color, shape)]
            (thing,) = own
            assert size in (None, thing.size)
            if place:
                axis, sign = PLACES_OF[place]
                assert sign * (getattr(thing, axis) - width / 2) > -1.5
            mask = decode_segmentation(segmentation, (height, width))
            rows, columns = np.nonzero(mask)
            assert abs((columns.min() + columns.max() + 1) / 2 - thing.x) < 0.1
            assert abs((rows.min() + rows.max() + 1) / 2 - thing.y) < 0.1


PLACES_OF = {"left": ("x", -1), "right": ("x", 1), "top": ("y", -1), "bottom": ("y", 1)}


def shared(images: list[list[tuple[str, str, str]]]) -> list[tuple[int, int, str]]:
    """(image, image, color and shape) of what two images have in common."""
    pairs = combinations(enumerate(images), 2)
    return [
        (i, j, " ".join(a[1:]))
        for (i, one), (j, other) in pairs
        for a in one
        for b in other
        if a[1:] == b[1:]
    ]


def test_groups_share_one_thing_alone() -> None:
    rng = wording(0, "groups", 0)
    for number in range(200):
        common = COLORED_SHAPES[number % 24]
        images = coseg.group_kinds(common, rng)
        assert shared(images) == [
            (i, j, " ".join(common[1:])) for i, j in combinations(range(4), 2)
        ]
        assert all(len(kinds) in (2, 3) for kinds in images)
        for split, holding in HOLDING.items():
            kind, images = groupwise_res.group_kinds(rng, groupwise_res.SIZES[split])
            assert shared(images) == [
                (i, j, " ".join(kind[1:])) for i, j in combinations(holding, 2)
            ]
            assert [k for k, kinds in enumerate(images) if kind in kinds] == holding
            assert {len(kinds) for kinds in images} <= {1, 2, 3}


def test_attcoseg_masks(world: Path) -> None:
    for a in read(world, "attcoseg", "test"):
        color = a.expression.split()[2]
        for k, segmentation in enumerate(a.segmentations):
            assert bool(segmentation) == (k + 1 in a.extra["pair"])
            if segmentation:
                mask = decode_segmentation(segmentation, a.sizes[k])
                assert is_colored(image_of(world, a.images[k]), mask, color)
