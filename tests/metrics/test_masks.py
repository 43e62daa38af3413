"""RES, GRES, CoSeg and AttCoSeg: masks at the original size."""

import numpy as np
import pytest

from tasks.attcoseg import image_numbers
from tests.metrics.cases import mask, score
from vista.data import Prediction
from vista.metrics.attcoseg import AttCoSegMetric, pair_overlap
from vista.metrics.coseg import (
    CoSegMetric,
    coseg_scores,
    image_overlap,
    precision_and_jaccard,
    safe_name,
)
from vista.metrics.gres import GRESMetric, gres_overlap
from vista.metrics.overlap import mask_intersection_and_union, mask_iou, union_mask
from vista.metrics.res import RESMetric


def columns(first, last, width=10, height=2):
    """A mask of some full columns; a column is `height` pixels."""
    made = np.zeros((height, width), bool)
    made[:, first:last] = True
    return made


NONE = columns(0, 0)


def pixels(array):
    return {(int(r), int(c)) for r, c in zip(*np.nonzero(array), strict=True)}


@pytest.mark.parametrize("seed", range(20))
def test_mask_overlap_as_counted_pixels(seed):
    rng = np.random.default_rng(seed)
    a, b = mask(rng), mask(rng)
    assert mask_intersection_and_union(a, b) == (
        len(pixels(a) & pixels(b)),
        len(pixels(a) | pixels(b)),
    )


def test_mask_overlap_edges():
    assert mask_iou(NONE, NONE) == 0
    with pytest.raises(ValueError, match="cannot be compared"):
        mask_iou(NONE, NONE.T)
    with pytest.raises(ValueError, match="in an image of size"):
        union_mask([NONE.T], NONE.shape)
    assert not union_mask([], (2, 3)).any()


def res(masks, true, target=None, **fields):
    return Prediction(masks=masks, **fields), {
        "mask": true,
        "target_mask": true if target is None else target,
    }


def test_res_thresholds_are_inclusive():
    result = score(
        RESMetric(), [res([columns(0, 5)], columns(0, 10)), res([columns(0, 9)], columns(0, 10))]
    )
    assert result["mIoU"] == pytest.approx(70)
    assert (result["pr50"], result["pr60"], result["pr90"]) == (100, 50, 50)


def test_res_metric():
    made = [
        res([columns(0, 2), columns(2, 4)], columns(0, 4)),  # several masks: their union
        res([], columns(0, 4)),  # nothing: IoU 0, the union grows by the true area
        res([columns(0, 4)], columns(0, 4), malformed=True),
        res([columns(0, 4)], columns(4, 8), target=columns(0, 4)),
        res([NONE], NONE, target=NONE),  # empty union: 0
    ]
    result = score(RESMetric(), made)
    assert result["mIoU"] == pytest.approx(20)
    assert result["oIoU"] == pytest.approx(100 * 4 / (4 + 4 + 4 + 8))
    assert result["paper_style_mIoU"] == pytest.approx(40)
    assert result["pr90"] == 20
    assert result["parse_failures"] == 1
    assert "paper_style_mIoU" not in score(
        RESMetric(paper_style=False), [(made[0][0], {"mask": columns(0, 4)})]
    )


def test_gres_table():
    assert gres_overlap(None, None) == (1, 0, 0)
    assert gres_overlap(columns(0, 3), None) == (0, 0, 6)
    assert gres_overlap(None, columns(0, 4)) == (0, 0, 8)
    assert gres_overlap(columns(0, 2), columns(0, 4)) == (0.5, 4, 8)
    assert gres_overlap(NONE, NONE) == (0, 0, 0)


def gres(masks, truth, **fields):
    return Prediction(masks=masks, **fields), {"masks": truth, "target_masks": truth[:1]}


GRES = [
    gres([columns(0, 2), columns(2, 4)], [columns(0, 3), columns(3, 5)]),  # IoU 0.8
    gres([], [columns(0, 5)]),  # taken for no target
    gres([NONE], [columns(0, 5)]),  # a polygon without pixels is something
    gres([columns(0, 5)], [columns(0, 5)], malformed=True),  # IoU 0, counted as none
    gres([], []),  # right
    gres([columns(0, 3)], []),
    gres([NONE], []),  # something
    gres([columns(0, 3)], [], malformed=True),  # IoU 0, no part in the union
]


def test_gres_metric():
    result = score(GRESMetric(), GRES)
    assert result == pytest.approx(
        {
            "gIoU": 100 * 1.8 / 8,
            "cIoU": 100 * 8 / (10 + 10 + 10 + 10 + 6),
            "n_acc": 25,
            "t_acc": 50,
            "pr70": 25,
            "pr80": 25,
            "pr90": 0,
            "paper_style_gIoU": 100
            * 1.75
            / 8,  # the first target drawn again has 3 of the 4 columns
            "n": 8,
            "parse_failures": 2,
        }
    )


def test_gres_edges():
    assert score(GRESMetric(), [GRES[4]])["cIoU"] == 0  # no union at all
    only_targets = score(GRESMetric(), GRES[:3])
    assert only_targets["n_acc"] == only_targets["t_acc"] == 0  # as the official code
    cleared = score(GRESMetric(min_pixels=7), GRES[5:7])  # 6 and 0 pixels
    assert (cleared["n_acc"], cleared["gIoU"], cleared["cIoU"]) == (100, 100, 0)
    assert score(GRESMetric(min_pixels=6), GRES[5:6])["n_acc"] == 0
    made = [(GRES[0][0], {"masks": GRES[0][1]["masks"]})]
    assert "paper_style_gIoU" not in score(GRESMetric(paper_style=False), made)


@pytest.mark.parametrize("seed", range(5))
def test_gres_as_the_twin(seed):
    rng = np.random.default_rng(seed)
    made, ious, shared, union = [], [], 0, 0
    for k in range(12):
        truth, drawn = (
            [mask(rng) for _ in range(k % 3)],
            [mask(rng) for _ in range(rng.integers(3))],
        )
        made.append(gres(drawn, truth))
        p, g = (set().union(*map(pixels, masks)) for masks in (drawn, truth))
        ious.append(float(not drawn) if not truth else len(p & g) / len(p | g))
        shared, union = shared + len(p & g), union + len(p | g)
    result = score(GRESMetric(), made)
    assert result["gIoU"] == pytest.approx(100 * np.mean(ious))
    assert result["cIoU"] == pytest.approx(100 * shared / union)


def test_coseg_three_means():
    images = [
        ("cow", image_overlap(columns(0, 5), columns(0, 5))),  # P 1, J 1
        ("cow", image_overlap(columns(0, 4), columns(2, 4))),  # P 0.8, J 0.5
        ("cow", image_overlap(NONE, columns(0, 5))),  # P 0.5, J 0
        ("big bird", image_overlap(columns(0, 1), columns(0, 4))),  # P 0.7, J 0.25
    ]
    assert coseg_scores(images) == pytest.approx(
        {
            "P": 100 * (2.3 / 3 + 0.7) / 2,
            "J": 100 * (0.5 + 0.25) / 2,
            "P_image": 75,
            "J_image": 43.75,
            "P_pooled": 100 * (46 / 60 + 0.7) / 2,
            "J_pooled": 100 * (14 / 28 + 0.25) / 2,
            "J_cow": 50,
            "J_big_bird": 25,
        }
    )


def coseg(masks, truth, count=None, **fields):
    count = [True] * len(truth) if count is None else count
    return Prediction(masks=masks, **fields), {"masks": truth, "class": "cow", "count": count}


def test_coseg_masks_stand_for_their_images():
    true = [columns(0, 5), columns(5, 10)]
    assert score(CoSegMetric(), [coseg(true, true)])["J"] == pytest.approx(100)
    assert score(CoSegMetric(), [coseg(true[::-1], true)])["J"] == 0
    assert score(CoSegMetric(), [coseg(true[:1], true)])["J"] == pytest.approx(
        50
    )  # fewer: the rest are empty
    assert score(CoSegMetric(), [coseg([*true, NONE], true)])["J"] == pytest.approx(
        100
    )  # more: ignored
    assert score(CoSegMetric(), [coseg(true, true, malformed=True)])["J"] == 0
    filled = score(CoSegMetric(), [coseg(true[::-1], true, count=[True, False])])
    assert (filled["P_image"], filled["n"]) == (0, 1)


def test_coseg_without_any_object_warns():
    with pytest.warns(UserWarning, match="1 CoSeg images have neither"):
        result = score(CoSegMetric(), [coseg([NONE], [NONE])])
    assert (result["P"], result["J"]) == (100, 0)


def test_coseg_images_may_have_different_sizes():
    assert (
        precision_and_jaccard(image_overlap(np.ones((3, 4), bool), np.ones((3, 4), bool)))[0] == 1
    )
    true = [columns(0, 5), columns(0, 5, width=20, height=4)]
    assert score(CoSegMetric(), [coseg(true, true)])["P"] == 100


def test_class_names_become_keys():
    assert safe_name("009 Stonehenge-Stongehenge-rjt208") == "009_Stonehenge-Stongehenge-rjt208"
    assert safe_name("a.b@c") == "a_b_c"


def test_image_numbers():
    assert image_numbers("The images are 3 and 1. The masks are [1, 2, 3, 4, 5, 6].") == [3, 1]
    assert image_numbers("2 and 2") == [2, 2]
    assert image_numbers("The masks are [1, 2]") == []


TRUTH = [columns(0, 4), NONE, columns(6, 10), NONE]  # the pair is 1 and 3


def test_attcoseg_pair_overlap():
    assert pair_overlap([3, 1], [TRUTH[2], TRUTH[0]], [1, 3], TRUTH) == pytest.approx(
        (1, 1)
    )  # order is free
    assert pair_overlap([1, 3], [TRUTH[2], TRUTH[0]], [1, 3], TRUTH) == pytest.approx((0.2, 0))
    # Image 2 in place of 3: over the images 1, 2 and 3, J is 1, 0 and 0.
    assert pair_overlap([1, 2], [TRUTH[0], columns(0, 5)], [1, 3], TRUTH) == pytest.approx(
        ((1 + 0.5 + 0.6) / 3, 1 / 3)
    )
    assert pair_overlap([], [], [1, 3], TRUTH) == pytest.approx(
        (0.6, 0)
    )  # the background of the true images
    assert pair_overlap([1], [], [1, 3], TRUTH) == pytest.approx(
        (0.6, 0)
    )  # a number without a mask
    # Number 9 is dropped with its mask, the next mask keeps its place.
    assert pair_overlap([9, 1], [NONE, TRUTH[0]], [1, 3], TRUTH) == pytest.approx((0.8, 0.5))
    # Repeated numbers are one image.
    assert pair_overlap([1, 1], [columns(0, 2), columns(2, 4)], [1, 3], TRUTH) == pytest.approx(
        (0.8, 0.5)
    )


def test_attcoseg_metric():
    ref = {"pair": [1, 3], "masks": TRUTH}
    right = [TRUTH[2], TRUTH[0]]
    text = "The images are 3 and 1. The masks are [..] <msep> [..]."
    made = [
        (
            Prediction(numbers=image_numbers(text), masks=right),
            ref,
        ),
        (Prediction(numbers=[3, 1], masks=right, malformed=True), ref),
        (
            Prediction(numbers=image_numbers("1, 3 and 9"), masks=[TRUTH[0], TRUTH[2]]),
            ref,
        ),  # a number too many
        (Prediction(numbers=image_numbers("none")), ref),
    ]
    assert score(AttCoSegMetric(), made) == pytest.approx(
        {"pair_acc": 25, "P": 100 * (1 + 0.6 + 1 + 0.6) / 4, "J": 50, "n": 4, "parse_failures": 2}
    )
