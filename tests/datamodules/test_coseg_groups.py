"""Groups for CoSeg and pairs for AttCoSeg, made of COCO's instances, PASCAL VOC and Visual Genome's attributes."""

import json
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.readers import READERS
from datamodules.readers.traits import PLACES, SIZES, within
from tasks import Task
from vista.codec.codec import Codec
from vista.geometry import decode_segmentation

SIDE = 100
SIZE = (96, 96)  # of the generated world
NAMES = {1: "dog", 2: "cat", 3: "cup"}


def square(x, y, side):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


class World:
    """A COCO file that grows: each image has objects (category, x, y, side)."""

    def __init__(self, root):
        self.root, self.images, self.annotations = root, [], []

    def add(self, *objects, crowd=False):
        number = len(self.images) + 1
        self.images.append(
            {"id": number, "file_name": f"{number:012d}.jpg", "height": SIDE, "width": SIDE}
        )
        for category, x, y, side in objects:
            mask = (
                {"counts": [0, SIDE * SIDE], "size": [SIDE, SIDE]}
                if crowd
                else [square(x, y, side)]
            )
            record = {"id": len(self.annotations) + 1, "image_id": number, "category_id": category}
            record |= {
                "bbox": [x, y, side, side],
                "area": side * side,
                "iscrowd": int(crowd),
                "segmentation": mask,
            }
            self.annotations.append(record)
        return number

    def write(self):
        folder = self.root / "coco" / "annotations"
        folder.mkdir(parents=True, exist_ok=True)
        categories = [{"id": key, "name": name} for key, name in NAMES.items()]
        content = {"images": self.images, "annotations": self.annotations, "categories": categories}
        (folder / "instances_train2017.json").write_text(json.dumps(content))
        return self.root


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def groups(root, **settings):
    return list(READERS["coseg_groups"](root, "train2017", **settings))


def test_groups_hold_one_category_and_the_union_of_its_masks(world):
    for k in range(9):
        world.add((1, k, 10, 30), (1, 60, 50, 20), (2, 10, 60, 30))
    found = groups(world.write())
    assert [(g.id, g.extra["class"], len(g.images)) for g in found] == [
        ("cat_0", "cat", 4), ("cat_1", "cat", 4), ("dog_0", "dog", 4), ("dog_1", "dog", 4),
    ]  # fmt: skip
    for group in found:
        assert group.extra["count"] == [True] * 4
        assert group.photos == tuple((f"coco {int(path[-8:-4])}",) for path in group.images)
        for path, size, rle in zip(group.images, group.sizes, group.segmentations, strict=True):
            number, mask = int(path[-8:-4]), decode_segmentation(rle, size)
            assert mask.sum() == (30 * 30 + 20 * 20 if group.extra["class"] == "dog" else 30 * 30)
            if group.extra["class"] == "dog":
                assert mask[10:40, number - 1 : number + 29].all() and mask[50:70, 60:80].all()
    for category in ("cat", "dog"):
        images = [path for g in found if g.extra["class"] == category for path in g.images]
        assert len(images) == len(set(images)) == 8  # the ninth is alone


def test_the_order_depends_on_the_seed_alone(world):
    for k in range(20):
        world.add((1, k, 10, 30))
    root = world.write()
    assert groups(root) == groups(root)
    assert groups(root) != groups(root, seed=1)
    assert sorted(p for g in groups(root) for p in g.images) == sorted(
        p for g in groups(root, seed=1) for p in g.images
    )


def test_at_most_as_many_as_asked(world):
    for k in range(11):
        world.add((1, k, 10, 30))
    root = world.write()
    assert [len(g.images) for g in groups(root)] == [4, 4, 3]
    assert [len(g.images) for g in groups(root, group_size=5)] == [5, 5]
    assert [len(g.images) for g in groups(root, max_groups=1)] == [4]
    with pytest.raises(ValueError, match="two images at least, not 1"):
        groups(root, group_size=1)


def test_evaluation_images_crowds_and_specks_are_never_used(world):
    kept = [world.add((1, k, 10, 30)) for k in range(4)]
    listed, excluded = world.add((1, 0, 0, 30)), world.add((1, 0, 0, 30))
    world.add((1, 0, 0, 30), crowd=True)
    world.add((1, 0, 0, 3))
    root = world.write()
    (root / "held_out.txt").write_text(f"{listed}\n2007_000032\n")
    (group,) = groups(root, exclude={str(excluded)})
    assert sorted(int(path[-8:-4]) for path in group.images) == kept


def test_groups_of_the_generated_world_hold_all_objects_of_one_category(tiny_world):
    images = {a.images[0]: a for a in READERS["coco_instances"](tiny_world, "train2017")}
    found = groups(tiny_world)
    assert len(found) > 1 and len({group.id for group in found}) == len(found)
    for group in found:
        assert len(set(group.images)) == len(group.segmentations) == len(group.sizes)
        assert 2 <= len(group.images) <= 4
        for path, rle in zip(group.images, group.segmentations, strict=True):
            image = images[path]
            objects = zip(image.extra["categories"], image.segmentations, strict=True)
            masks = [
                decode_segmentation(m, SIZE) for name, m in objects if name == group.extra["class"]
            ]
            assert (decode_segmentation(rle, SIZE) == np.logical_or.reduce(masks)).all()


def test_the_task_trains_on_groups(world):
    for k in range(4):
        world.add((1, 5 * k, 10, 30))
    task = Task.known["coseg"](Codec())
    (group,) = task.regroup(groups(world.write()))
    metric = task.evaluator()
    metric.update([task.parse(task.target(group), group)], [task.reference(group)])
    assert metric.compute()["J"] > 99


def save(path, values, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    if palette:
        image = Image.frombytes("P", values.shape[::-1], values.tobytes())
        image.putpalette([0] * 768)
    else:
        image = Image.fromarray(values)
    image.save(path)


@pytest.fixture
def voc(tmp_path):
    """Five images of horses (class 13), one of them with a void border; the last is also in the PASCAL set."""
    rng = np.random.default_rng(0)
    names = [f"2007_00000{k}" for k in range(5)]
    for name in names:
        classes = np.zeros((40, 60), dtype=np.uint8)
        classes[5:25, 10:40] = 13
        classes[25:27, 10:40] = 255
        blocks = (
            rng.integers(0, 256, (4, 6, 3), dtype=np.uint8).repeat(10, axis=0).repeat(10, axis=1)
        )
        save(tmp_path / f"voc/VOCdevkit/VOC2012/JPEGImages/{name}.jpg", blocks)
        save(
            tmp_path / f"voc/VOCdevkit/VOC2012/SegmentationClass/{name}.png", classes, palette=True
        )
    lists = tmp_path / "voc/VOCdevkit/VOC2012/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(names) + "\n")
    save(tmp_path / "coseg/PASCAL/Horse/img_7.png", blocks[::2, ::2])  # half the size, another name
    save(tmp_path / "coseg/PASCAL/Horse/GroundTruth/img_7.png", np.zeros((20, 30), dtype=np.uint8))
    return tmp_path


def test_voc_groups_without_the_images_of_the_pascal_set(voc):
    reader = READERS["coseg_groups"](voc, "voc2012_train")
    (group,) = reader
    assert group.extra["class"] == "horse"
    assert sorted(path[-5] for path in group.images) == ["0", "1", "2", "3"]
    assert group.photos == tuple((f"voc {path[-15:-4]}",) for path in group.images)
    assert reader.problems == [("2007_000004", "it is an image of coseg/PASCAL")]
    assert all(decode_segmentation(rle, (40, 60)).sum() == 20 * 30 for rle in group.segmentations)
    (voc / "held_out.txt").write_text("2007_000001")
    (group,) = READERS["coseg_groups"](voc, "voc2012_train")
    assert len(group.images) == 3


def samples(root, **settings):
    return list(READERS["attcoseg_coco"](root, "train2017", **settings))


@pytest.mark.parametrize(
    ("value", "ranges", "names"),
    [
        (0.01, SIZES, {"small"}), (0.05, SIZES, {"small", "medium"}), (0.1, SIZES, {"medium"}),
        (0.2, SIZES, {"medium", "large"}), (1.0, SIZES, {"large"}), (0.35, PLACES, {"left", "middle"}),
        (0.0, PLACES, {"left"}), (0.65, PLACES, {"middle", "right"}), (1.0, PLACES, {"right"}),
    ],
)  # fmt: skip
def test_between_two_sizes_or_places_both_may_hold(value, ranges, names):
    assert within(value, ranges) == names


def test_the_pair_shares_a_trait_and_no_negative_shares_any(world):
    one, other = (
        world.add((1, 5, 5, 15)),
        world.add((1, 5, 40, 33)),
    )  # both at the left; small, medium
    hard = world.add((1, 45, 0, 55))  # a large dog at the right
    plain = world.add((3, 5, 5, 15))  # a cup
    (sample,) = samples(world.write())
    numbers = [int(path[-8:-4]) for path in sample.images]
    assert sorted(numbers) == [one, other, hard, plain]
    assert sample.photos == tuple((f"coco {number}",) for number in numbers)
    assert sample.extra["pair"] == sorted(numbers.index(image) + 1 for image in (one, other))
    assert sample.extra["shared"] == {"place": "left"}
    assert sample.expression == "dog"
    assert [bool(segmentation) for segmentation in sample.segmentations] == sample.extra["present"]


def negatives(found):
    return {
        int(path[-8:-4])
        for s in found
        for path, p in zip(s.images, s.extra["present"], strict=True)
        if not p
    }


@pytest.mark.parametrize(
    ("objects", "negative"),
    [
        (
            ((1, 25, 25, 55),),
            True,
        ),  # a large dog in the middle; the pair are a small and a medium one at the left
        (((1, 25, 25, 45),), False),  # large or medium
        (((1, 10, 25, 55),), False),  # at the left or in the middle
        (((1, 80, 5, 15),), False),  # small
        (((1, 50, 50, 50), (1, 60, 3, 12)), False),  # one of its two dogs is small
    ],
)
def test_what_may_share_is_no_negative(world, objects, negative):
    world.add((1, 5, 5, 15))
    world.add((1, 5, 40, 33))
    doubtful = world.add(*objects)
    world.add((3, 5, 5, 15))
    found = [s for s in samples(world.write(), num_images=3) if s.expression == "dog"]
    assert found and (doubtful in negatives(found)) == negative


def test_a_crowd_is_neither_positive_nor_negative(world):
    world.add((1, 5, 5, 15))
    world.add((1, 5, 40, 33))
    crowd = world.add((1, 45, 0, 55), crowd=True)
    world.add((3, 5, 5, 15))
    (sample,) = samples(world.write(), num_images=3)
    assert crowd not in [int(path[-8:-4]) for path in sample.images]


def test_a_pair_must_not_share_something_else(world):
    world.add((1, 5, 5, 15), (2, 70, 70, 20))
    world.add((1, 5, 40, 33), (2, 70, 70, 20))  # the cats are alike too
    world.add((3, 5, 5, 15))
    assert samples(world.write(), num_images=3) == []


def attributes(root, colors):
    """Visual Genome's word on the first object of some images; its images are half as large as COCO's."""
    folder = root / "visual_genome"
    folder.mkdir()
    url = "https://cs.stanford.edu/people/rak248/VG_100K/{}.jpg"
    images, records = [], []
    for coco_id, (name, box, words) in colors.items():
        image = {
            "image_id": coco_id + 100,
            "width": 50,
            "height": 50,
            "coco_id": coco_id,
            "url": url.format(coco_id),
        }
        images.append(image)
        x, y, side = (value / 2 for value in box)
        spoken = {"names": [name], "x": x, "y": y, "w": side, "h": side, "attributes": words}
        records.append(
            {"image_id": coco_id + 100, "attributes": [spoken, {"names": ["sky"], "x": 0, "y": 0}]}
        )
    (folder / "image_data.json").write_text(json.dumps(images))
    (folder / "attributes.json").write_text(json.dumps(records))


def test_colors_of_visual_genome(world):
    red, also_red = (
        world.add((1, 5, 5, 15)),
        world.add((1, 45, 0, 55)),
    )  # nothing shared but the colour
    blue = world.add((1, 33, 33, 34))
    unknown = world.add((1, 33, 33, 34))
    world.add((3, 5, 5, 15))
    root = world.write()
    colors = {
        red: ("dogs", (5, 5, 15), ["dark red"]),
        also_red: ("dog", (45, 0, 55), ["red", "big"]),
        blue: ("dog", (33, 33, 34), ["blue"]),
        unknown: ("dog", (33, 33, 34), ["wet"]),
    }
    attributes(root, colors)
    found = [s for s in samples(root, num_images=3) if s.extra["shared"].get("color") == "red"]
    (sample,) = found
    images = [int(path[-8:-4]) for path in sample.images]
    assert {red, also_red} < set(images) and unknown not in images
    assert blue in images, "a blue dog of another size and place is a negative"


def test_what_visual_genome_says_of_another_thing_does_not_count(world):
    pair = [world.add((1, 5, 5, 15)), world.add((1, 45, 0, 55))]
    world.add((3, 5, 5, 15))
    root = world.write()
    attributes(
        root, {pair[0]: ("cat", (5, 5, 15), ["red"]), pair[1]: ("dog", (0, 60, 30), ["red"])}
    )
    assert samples(root, num_images=3) == []


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    from datamodules.synthetic.world import write_world

    root = tmp_path_factory.mktemp("world")
    write_world(root, num_train=300, num_val=5, num_test=5, num_workers=1)
    return root


def test_pairs_of_the_generated_world(generated):
    found = samples(generated)
    assert len(found) > 20
    assert found == samples(generated)
    assert len({s.id for s in found}) == len(found)
    assert any("color" in s.extra["shared"] for s in found)
    places = [pair for s in found for pair in s.extra["pair"]]
    assert {places.count(k) > len(found) / 4 for k in range(1, 5)} == {True}, (
        "the pair may stand anywhere"
    )
    objects = {a.images[0]: a for a in READERS["coco_instances"](generated, "train2017")}
    for sample in found:
        pair = {sample.images[number - 1] for number in sample.extra["pair"]}
        nouns = [
            {name.split()[1] for name in objects[image].extra["categories"]}
            for image in sample.images
        ]
        assert all(sample.expression in nouns[number - 1] for number in sample.extra["pair"])
        for one, other in combinations(sample.images, 2):
            if {one, other} != pair:
                same = set(objects[one].extra["categories"]) & set(
                    objects[other].extra["categories"]
                )
                assert not same, "a red circle in both would be an object of one colour"


def test_the_task_takes_the_pairs(generated):
    task = Task.known["attcoseg"](Codec())
    found = samples(generated)[:10]
    assert task.regroup(found) == found
    metric = task.evaluator()
    metric.update(
        [task.parse(task.target(a), a) for a in found], [task.reference(a) for a in found]
    )
    scores = metric.compute()
    assert scores["pair_acc"] == 100 and scores["J"] > 85


def test_a_sample_has_three_images_at_least(tmp_path):
    with pytest.raises(ValueError, match="three images at least, not 2"):
        READERS["attcoseg_coco"](tmp_path, "train2017", num_images=2)


@pytest.mark.skipif(
    "VISTA_REALDATA" not in os.environ, reason="VISTA_REALDATA names no official samples"
)
def test_official_files():
    root = Path(os.environ["VISTA_REALDATA"])
    made = groups(root)
    assert len(made) > 10 and {len(g.images) for g in made} <= {2, 3, 4}
    for sample in [*made, *samples(root)]:
        for path, size, segmentation in zip(
            sample.images, sample.sizes, sample.segmentations, strict=True
        ):
            mask = decode_segmentation(segmentation, size)
            assert mask.any() == bool(segmentation)
            with Image.open(root / path) as image:
                assert image.size == mask.shape[::-1]
