"""The generated world's scenes: exact masks and boxes, no overlap, independent streams."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from datamodules.synthetic.chunks import chunks
from datamodules.synthetic.drawing import draw_kinds, draw_scene
from datamodules.synthetic.outline import outlines, run_lengths, segmentation
from datamodules.synthetic.scene import COLORS, SHAPES, Kind, Scene
from datamodules.synthetic.streams import STREAMS, generator
from vista.geometry import decode_segmentation

SIZE = 96


def scene_of(index: int, stream: str = "train", seed: int = 0, size: int = SIZE) -> Scene:
    rng = generator(seed, stream, index)
    return draw_scene(rng, draw_kinds(rng), size)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [scene_of(index) for index in range(300)]


def test_a_scene_depends_on_its_key_alone() -> None:
    one, again = scene_of(7), scene_of(7)
    assert np.array_equal(one.image, again.image)
    for other in (scene_of(8), scene_of(7, stream="test"), scene_of(7, seed=1)):
        assert not np.array_equal(one.image, other.image)
    images = {scene_of(index, stream).image.tobytes() for stream in STREAMS for index in range(20)}
    assert len(images) == 20 * len(STREAMS)


def test_objects_are_wholly_inside_and_apart(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (SIZE, SIZE, 3) and scene.image.dtype == np.uint8
        assert sum(item.mask.astype(int) for item in scene.objects).max() == 1
        for item in scene.objects:
            assert not item.mask[[0, -1]].any() and not item.mask[:, [0, -1]].any()
    numbers = [len(scene.objects) for scene in scenes]
    assert set(numbers) == {1, 2, 3, 4} and 2.3 < np.mean(numbers) < 2.7


def test_masks_show_their_colour_and_background_is_grey(scenes: list[Scene]) -> None:
    for scene in scenes[:100]:
        for item in scene.objects:
            mean = scene.image[item.mask].mean(0)
            nearest = min(COLORS, key=lambda color: np.abs(mean - COLORS[color]).sum())
            assert nearest == item.kind.color
        background = scene.image[~np.any([item.mask for item in scene.objects], 0)].astype(float)
        assert np.median(np.ptp(background, axis=1)) <= 13


@pytest.mark.parametrize("shape", SHAPES)
def test_mask_is_what_the_formula_says_at_pixel_centres(shape: str) -> None:
    drawn = 0
    for index in range(60):
        (item,) = draw_scene(
            generator(3, "train", index), [Kind("large", "red", shape)], SIZE
        ).objects
        x, y = (np.arange(SIZE) + 0.5 - item.x)[None], (np.arange(SIZE) + 0.5 - item.y)[:, None]
        distance = np.hypot(x, y)
        r = item.radius
        expected = {
            "circle": distance <= r,
            "square": (abs(x) <= 0.9 * r) & (abs(y) <= 0.9 * r),
            "triangle": (y <= 0.85 * r) & (y >= 1.85 * abs(x) - r),
            "ring": (distance <= r) & (distance >= 0.5 * r),
        }[shape]
        if item.gap is None:
            drawn += 1
            assert (expected ^ item.mask).sum() <= 1  # one pixel of rounding
        else:
            assert expected[item.mask].all() and item.mask.sum() < expected.sum()
    assert drawn > 40


def test_segmentations_draw_exactly_the_mask(scenes: list[Scene]) -> None:
    forms = {"one": 0, "two": 0, "rle": 0}
    for item in (item for scene in scenes for item in scene.objects):
        found = segmentation(item.mask)
        assert np.array_equal(decode_segmentation(found, item.mask.shape), item.mask)
        forms["rle" if isinstance(found, dict) else ("one", "two")[len(found) - 1]] += 1
        encoded = coco_mask.encode(np.asfortranarray(item.mask, dtype=np.uint8))
        x0, y0, x1, y1 = item.box
        assert coco_mask.toBbox(encoded).tolist() == [x0, y0, x1 - x0, y1 - y0]
    assert forms["rle"] > 50 and forms["two"] > 10 and forms["one"] > 400


def test_cut_objects_are_few_and_have_a_small_and_a_large_part() -> None:
    cut = [item for i in range(800) for item in scene_of(i, "val").objects if item.gap is not None]
    assert 0.025 < len(cut) / (2.5 * 800) < 0.055
    for item in cut:
        loops = outlines(item.mask)
        assert len(loops) == 2
        along = 0 if item.gap.axis == "x" else 1
        first, second = sorted(
            (min(p[along] for p in loop), max(p[along] for p in loop)) for loop in loops
        )
        lengths = sorted((first[1] - first[0], second[1] - second[0]))
        assert 1 <= second[0] - first[1] <= 3
        assert 1.2 < lengths[1] / lengths[0] < 4


def test_outline_of_known_masks() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1:4, 1:5] = True
    assert sorted(outlines(mask)[0]) == [(1, 1), (1, 4), (5, 1), (5, 4)]
    assert segmentation(mask) == [[1, 1, 5, 1, 5, 4, 1, 4]]
    mask[2, 2] = False
    assert len(outlines(mask)) == 2
    assert segmentation(mask) == {"counts": [6, 3, 2, 1, 1, 1, 2, 3, 2, 3, 6], "size": [5, 6]}
    assert run_lengths(np.ones((2, 2), bool)) == {"counts": [0, 4], "size": [2, 2]}


def test_other_sizes_scale_and_too_many_objects_are_refused() -> None:
    small, large = scene_of(5, size=96), scene_of(5, size=192)
    assert [item.kind for item in small.objects] == [item.kind for item in large.objects]
    assert large.image.shape == (192, 192, 3)
    with pytest.raises(ValueError, match="30 objects do not fit"):
        draw_scene(generator(0, "train", 0), [Kind("large", "red", "circle")] * 30, SIZE)


def test_training_scenes_are_sorted_from_one_object_to_many() -> None:
    numbers = [
        len(scene.objects) for chunk in chunks(0, "train", 400, 96) for _, scene in chunk.scenes()
    ]
    assert (
        numbers[:70] == [1] * 70
        and set(numbers[70:140]) == {1, 2}
        and set(numbers[140:210]) == {1, 2, 3}
    )
    assert {number: numbers[210:].count(number) for number in (1, 2, 3, 4)} == pytest.approx(
        {1: 47.5, 2: 47.5, 3: 47.5, 4: 47.5}, abs=1
    )
    held_out = [
        len(scene.objects) for chunk in chunks(0, "test", 400, 96) for _, scene in chunk.scenes()
    ]
    assert {1, 2, 3, 4} == {*held_out[:40]}
