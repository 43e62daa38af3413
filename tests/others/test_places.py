"""200 answers a family, written by its adapter from true places and read back through our own form; none is lost."""

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import Task
from vista.codec.codec import Codec
from vista.data import Annotation, Box, Size
from vista.others.answers import MALFORMED, Translator
from vista.others.asking import Asker
from vista.others.family import CannotAsk, Family, family_of

COUNT = 200
FAMILIES = (
    "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "paligemma", "florence2", "kosmos-2", "molmo2", "llava",
    "llava_onevision", "gemma3", "instructblip",
)  # fmt: skip
WITH_BOXES = [name for name in FAMILIES if name != "molmo2"]
SIZES = ((480, 640), (100, 2000), (1999, 137), (20, 30), (600, 600))


def family(model_type: str) -> Family:
    return family_of(model_type)()


def task(name: str) -> Task:
    return Task.known[name](Codec())


def annotation(size: Size, *more: Size, expression: str = "the red circle") -> Annotation:
    names = tuple(f"{k}.png" for k in range(1 + len(more)))
    return Annotation("1", names, (size, *more), expression=expression)


def cases(seed: int = 0) -> Iterator[tuple[Size, Box]]:
    """Boxes of all sizes, to the very edges."""
    rng = np.random.default_rng(seed)
    for number in range(COUNT):
        height, width = SIZES[number % len(SIZES)]
        xs = np.sort(rng.uniform(0, width, 2)) if number % 7 else (0.0, float(width))
        ys = np.sort(rng.uniform(0, height, 2)) if number % 5 else (0.0, float(height))
        yield (height, width), (float(xs[0]), float(ys[0]), float(xs[1]), float(ys[1]))


def bin_of(model_type: str, size: Size) -> tuple[float, float]:
    """The step of a family's grid in pixels, along x and along y; by hand, not by the adapter."""
    height, width = size
    if model_type == "llava":
        return max(size) / 100, max(size) / 100
    if model_type == "qwen2_5_vl":
        steps = {
            (480, 640): (644, 476), (100, 2000): (1988, 112), (1999, 137): (140, 1988), (20, 30): (84, 56),
            (600, 600): (588, 588),
        }  # fmt: skip
        across, down = steps[size]
        return width / across, height / down
    bins = {"paligemma": 1023, "kosmos-2": 32}.get(model_type, 1000)
    return width / bins, height / bins


def is_near(model_type: str, size: Size, read: Box, true: Box) -> bool:
    across, down = bin_of(model_type, size)
    limit = 0.5
    if model_type == "kosmos-2":
        # Of boxes within one row or column of cells the outer edges are meant: a whole cell.
        limit = 1.0 if is_thin(size, true) else 0.5
    errors = [abs(a - b) for a, b in zip(read, true, strict=True)]
    steps = (across, down, across, down)
    extents = (size[1], size[0]) * 2
    for error, step, value, extent in zip(errors, steps, true, extents, strict=True):
        # The last edge is no pixel of the resized image; Qwen2.5-VL's grid ends one before it.
        most = 1.0 if model_type == "qwen2_5_vl" and value > extent - step else limit
        if error > most * step + extent * 1e-5:
            return False
    return True


def is_thin(size: Size, box: Box) -> bool:
    height, width = size
    columns = math.floor(32 * box[0] / width), math.ceil(32 * box[2] / width) - 1
    rows = math.floor(32 * box[1] / height), math.ceil(32 * box[3] / height) - 1
    return columns[0] >= columns[1] or rows[0] >= rows[1]


@pytest.mark.parametrize("model_type", WITH_BOXES)
def test_200_boxes_come_back_within_half_a_bin(model_type: str) -> None:
    asked, rec = family(model_type), task("rec")
    translator = Translator(asked, rec)
    count = 0
    for size, box in cases():
        raw = asked.write_boxes([box], size, "the red circle")
        prediction = translator.task.read(translator(raw, annotation(size)), annotation(size))
        assert not prediction.malformed, raw
        (read,) = prediction.boxes
        assert is_near(model_type, size, read, box), (size, box, raw, read)
        count += 1
    assert count == COUNT


@pytest.mark.parametrize("model_type", WITH_BOXES)
def test_several_boxes_come_back_in_their_order(model_type: str) -> None:
    asked, grec = family(model_type), task("grec")
    translator = Translator(asked, grec)
    some = list(cases(1))
    for index in range(0, 200, 5):  # these have one size
        size = some[index][0]
        boxes = [box for other, box in some if other == size][: index % 4]
        raw = asked.write_boxes(boxes, size, "circle") if boxes else ""
        prediction = translator.task.read(translator(raw, annotation(size)), annotation(size))
        assert not prediction.malformed
        assert len(prediction.boxes) == len(boxes)
        for read, true in zip(prediction.boxes, boxes, strict=True):
            assert is_near(model_type, size, read, true)


@pytest.mark.parametrize(
    "model_type", ["qwen2_5_vl", "qwen3_vl", "llava_onevision", "gemma3", "florence2"]
)
def test_200_outlines_come_back_within_half_a_bin(model_type: str) -> None:
    asked = family(model_type)
    for size, (x0, y0, x1, y1) in cases(2):
        outline = [(x0, y0), (x1, y0), (x1, y1), ((x0 + x1) / 2, (y0 + y1) / 2), (x0, y1)]
        read = asked.read_polygons(asked.write_polygons([outline, outline], size), size)
        assert read is not None and len(read) == 2 and len(read[1]) == 5
        for (x, y), (u, v) in zip(read[0], outline, strict=True):
            assert is_near(model_type, size, (x, y, x, y), (u, v, u, v))


@pytest.mark.parametrize("model_type", ["molmo2", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_200_points_come_back_within_half_a_bin(model_type: str) -> None:
    asked = family(model_type)
    for size, (x, y, u, v) in cases(3):
        points = [(x, y), (u, v)]
        if model_type == "qwen2_vl":
            raw = "".join(asked.write_point(point, size) for point in points)
        else:
            raw = asked.write_points(points, size)  # type: ignore[attr-defined]
        read = asked.read_points(raw, size)
        assert read is not None and len(read) == 2
        for (x, y), (u, v) in zip(read, points, strict=True):
            assert is_near(model_type, size, (x, y, x, y), (u, v, u, v))


# Examples of the families' public descriptions; numbers by hand.
EXAMPLES = [
    ("qwen2_vl", "<|object_ref_start|>the cat<|object_ref_end|><|box_start|>(100,250),(500,750)<|box_end|>",
     (64, 120, 320, 360)),
    ("qwen2_vl", "(100,250),(500,750)", (64, 120, 320, 360)),
    ("qwen2_5_vl", '```json\n[\n\t{"bbox_2d": [161, 119, 322, 357], "label": "the cat"}\n]\n```', (160, 120, 320, 360)),
    ("qwen3_vl", '[{"bbox_2d": [100, 250, 500, 1003], "label": "a [cat]"}]', (64, 120, 320, 480)),
    ("qwen3_vl", "<|begin_of_box|>[[100,250,500,750]]<|end_of_box|>", (64, 120, 320, 360)),
    ("internvl", "<ref>the cat</ref><box>[[100, 250, 500, 750]]</box>", (64, 120, 320, 360)),
    ("internvl", "the cat[[100, 250, 500, 750]]", (64, 120, 320, 360)),
    # y before x, and 1023 is the edge.
    ("paligemma", "<loc0341><loc0000><loc1023><loc0682> the cat", (0, 160, 640 * 682 / 1023, 480)),
    ("florence2", "</s><s>the cat<loc_100><loc_250><loc_499><loc_749></s>", (64.32, 120.24, 319.68, 359.76)),
    ("kosmos-2", "<phrase> the cat</phrase><object><patch_index_0044><patch_index_0863></object>",
     (12.5 * 20, 1.5 * 15, 31.5 * 20, 26.5 * 15)),
    ("kosmos-2", "<object> <patch_index_0000> <patch_index_0002> </object>", (0, 0, 60, 15)),  # one row: outer edges
    ("llava", "[0.10, 0.25, 0.50, 0.75]", (64, 80, 320, 400)),  # of 640 x 640, 80 above the image
    ("llava", "It is at [0.1,0.0,1.0,1.0].", (64, 0, 640, 480)),
    ("gemma3", "Sure: [100, 250, 500, 750]", (64, 120, 320, 360)),
]  # fmt: skip


@pytest.mark.parametrize(("model_type", "raw", "box"), EXAMPLES)
def test_a_public_example_is_read(model_type: str, raw: str, box: Box) -> None:
    translator = Translator(family(model_type), task("rec"), ("<s>", "</s>"))
    one = annotation((480, 640))
    prediction = translator.task.read(translator(raw, one), one)
    assert prediction.boxes == [pytest.approx(box, abs=0.01)]


BROKEN = [
    ("qwen2_vl", "<|box_start|>(500,250),(100,750)<|box_end|>"),  # the second corner first
    ("qwen2_vl", "<|box_start|>(100,250),(1500,750)<|box_end|>"),
    ("qwen2_vl", "<|box_start|>(100,250)"),
    ("qwen2_5_vl", '[{"bbox_2d": [1, 2, 3], "label": ""}]'),
    ("qwen2_5_vl", '[{"bbox_2d": [NaN, 2, 3, 4]}]'),
    ("qwen2_5_vl", '[{"bbox_2d": [1, 2, 30, 4000]}]'),  # of another grid
    ("qwen2_5_vl", '[{"bbox_2d": [1, 2, 30, 40'),
    ("qwen3_vl", '[{"bbox_2d": [Infinity, 2, 3, 4]}]'),
    ("qwen3_vl", '[{"bbox_2d": [' + "9" * 5000 + ", 2, 3, 4]}]"),
    ("qwen3_vl", "[[[[[[[[[[" * 500),
    ("internvl", "<box>[[1, 2, 3]]</box>"),
    ("internvl", "<box>[[1, 2, 3, 4]"),
    ("paligemma", "<loc0341><loc0000><loc1023>"),
    ("paligemma", "<loc1024><loc0000><loc1025><loc0682>"),
    ("florence2", "the cat<loc_1><loc_2><loc_3>"),  # the library drops the odd one and goes on
    ("kosmos-2", "<object><patch_index_0044><patch_index_1024></object>"),
    ("kosmos-2", "<object><patch_index_0863><patch_index_0044></object>"),
    ("kosmos-2", "<object><patch_index_0863></object>"),
    ("llava", "[12, 25, 50, 75]"),
    ("llava", "[0.1, nan, 0.5, 0.5]"),
]


@pytest.mark.parametrize(("model_type", "raw"), BROKEN)
@pytest.mark.parametrize("name", ["rec", "grec"])
def test_a_broken_answer_is_malformed(model_type: str, raw: str, name: str) -> None:
    translator = Translator(family(model_type), task(name))
    one = annotation((480, 640))
    assert translator(raw, one) == MALFORMED
    assert translator.task.read(MALFORMED, one).malformed


@pytest.mark.parametrize("name", ["rec", "grec", "res", "gres", "spot_caption"])
def test_what_is_malformed_to_a_family_is_so_to_each_task(name: str) -> None:
    assert task(name).read(MALFORMED, annotation((4, 4))).malformed
    assert task("coseg").read(MALFORMED, annotation((4, 4), (4, 4))).malformed
    assert task("attcoseg").read(MALFORMED, annotation((4, 4), (4, 4), (4, 4))).malformed


PIECES = st.sampled_from(
    ["<loc0001>", "<loc_7>", "<loc", "[", "]", "{", "}", "(1,2)", ",", " ", "1", "0.5", "-", "e9", '"bbox_2d"', ":",
     '"polygon_2d"', '"image"', "<box>", "</box>", "<|box_start|>", "<|box_end|>", "<object>", "</object>",
     "<patch_index_0001>", '<points coords="', '">', "\n", "é", "\ue000", "NaN", "[1, 2, 3, 4]", "\x00", "\ud800"]
)  # fmt: skip


@cache
def translators() -> list[Translator]:
    names = ("rec", "res", "gres", "spot_caption", "coseg", "attcoseg", "vqav2")
    tasks = [task(name) for name in names]
    return [Translator(family(each), one, ("<s>",)) for each in FAMILIES for one in tasks]


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=60))
def test_no_text_stops_a_reader(raw: str) -> None:
    images = annotation((48, 64), (30, 20), (9, 9))
    for translator in translators():
        translator.task.read(translator(raw, images), images)


def test_one_list_of_numbers_is_four_boxes() -> None:
    raw, one = "[120, 80, 400, 300]", annotation((480, 640))
    boxes = {}
    for model_type in ("qwen2_5_vl", "qwen3_vl"):
        translator = Translator(family(model_type), task("rec"))
        boxes[model_type] = translator.task.read(translator(raw, one), one).boxes[0]
    assert boxes["qwen2_5_vl"] == pytest.approx((119.2547, 80.6723, 397.5155, 302.5210), abs=0.01)
    assert boxes["qwen3_vl"] == pytest.approx((76.8, 38.4, 256, 144), abs=0.01)


def test_an_outline_is_drawn() -> None:
    one = annotation((100, 200))
    square = [(50.0, 20.0), (150.0, 20.0), (150.0, 70.0), (50.0, 70.0)]
    for model_type in ("qwen2_5_vl", "qwen3_vl", "florence2"):
        asked = family(model_type)
        translator = Translator(asked, task("res"))
        raw = asked.write_polygons([square], (100, 200), "été")
        mask = translator.task.read(translator(raw, one), one).masks[0]
        assert mask[25:65, 55:145].all() and mask.sum() == pytest.approx(5000, rel=0.03)


def test_parts_of_an_outline_are_one_answer() -> None:
    asked, one = family("florence2"), annotation((100, 100))
    parts = [
        [(0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0)],
        [(50.0, 50.0), (90.0, 50.0), (90.0, 90.0)],
    ]
    translator = Translator(asked, task("gres"))
    raw = asked.write_polygons(parts, (100, 100))
    assert "<sep>" in raw
    masks = translator.task.read(translator(raw, one), one).masks
    assert len(masks) == 2 and masks[0][:19, :19].all() and masks[1][55, 85]


def test_masks_of_several_images() -> None:
    three = annotation((50, 50), (40, 80), (60, 30))
    raw = json.dumps([
        {"image": 3, "polygon_2d": [[0, 0], [1000, 0], [1000, 1000], [0, 1000]]},
        {"image": 1, "polygon_2d": [[0, 0], [500, 0], [500, 1000], [0, 1000]]},
    ])  # fmt: skip
    asked = family("qwen3_vl")
    translator = Translator(asked, task("coseg"))
    masks = translator.task.read(translator(raw, three), three).masks
    assert [int(mask.sum()) for mask in masks] == [1250, 0, 1800]
    translator = Translator(asked, task("attcoseg"))
    prediction = translator.task.read(translator(raw, three), three)
    assert prediction.numbers == [1, 3]
    assert [mask.shape for mask in prediction.masks] == [(50, 50), (60, 30)]
    assert translator(raw.replace("3", "4"), three) == MALFORMED


@pytest.mark.parametrize(
    ("model_type", "raw"),
    [
        ("kosmos-2", "An image of<phrase> a cat</phrase><object><patch_index_0000><patch_index_1023></object> and me"),
        ("qwen2_vl", "An image of a cat<|box_start|>(16,16),(984,984)<|box_end|> and me"),
        ("qwen3_vl", "An image of a cat [16, 16, 984, 984] and me"),
        ("internvl", "An image of <ref>a cat</ref><box>[[16, 16, 984, 984]]</box> and me"),
    ],
)  # fmt: skip
def test_a_caption_with_boxes(model_type: str, raw: str) -> None:
    controls = ("<phrase>", "</phrase>", "<ref>", "</ref>")
    translator = Translator(family(model_type), task("spot_caption"), controls)
    one = annotation((480, 640))
    prediction = translator.task.read(translator(raw, one), one)
    assert prediction.answer == "An image of a cat and me"
    assert prediction.boxes == [pytest.approx((10, 7.5, 630, 472.5), abs=0.6)]
    assert [words.strip() for words in prediction.phrases] == ["An image of a cat"]


def test_words_come_without_tokens() -> None:
    translator = Translator(family("qwen2_vl"), task("vqav2"), ("<|im_end|>", "<|im_start|>"))
    assert translator("<|im_start|> red<|im_end|>", annotation((9, 9))) == "red"


def question(name: str, model_type: str, **fields: object) -> str:
    one = annotation((480, 640))
    for key, value in fields.items():
        setattr(one, key, value)
    return Asker(family(model_type), task(name)).turns(one)[-1][0]


def test_a_data_set_cannot_put_in_tokens() -> None:
    bad = "a <image> <|image_pad|> <image_soft_token> </s> <loc0001> \ue0000\ue001 b < c > d"
    for model_type in FAMILIES:
        asked = family(model_type)
        name = "vqav2" if "words" in asked.asked and model_type != "florence2" else "rec"
        text = question(name, model_type, question=bad, expression=bad)
        for token in ("<|image_pad|>", "<image_soft_token>", "</s>", "<loc0001>", "\ue000"):
            assert token not in text
        assert text.count("<image>") == (
            0 if model_type in ("florence2", "kosmos-2", "instructblip") else 1
        )


PROMPTS: list[tuple[str, str, Callable[[str], bool]]] = [
    ("paligemma", "rec", lambda text: text == "<image>detect the red circle"),
    ("paligemma", "caption", lambda text: text == "<image>caption en"),
    ("paligemma", "vqav2", lambda text: text.startswith("<image>answer en What is it?")),
    (
        "paligemma",
        "reg",
        lambda text: text == "<image>caption <loc0256><loc0102><loc0767><loc0512>",
    ),
    ("florence2", "rec", lambda text: text == "<OPEN_VOCABULARY_DETECTION>the red circle"),
    ("florence2", "res", lambda text: text == "<REFERRING_EXPRESSION_SEGMENTATION>the red circle"),
    ("florence2", "caption", lambda text: text == "<CAPTION>"),
    (
        "florence2",
        "reg",
        lambda text: text == "<REGION_TO_DESCRIPTION><loc_100><loc_250><loc_500><loc_750>",
    ),
    ("kosmos-2", "rec", lambda text: text == "<grounding><phrase>the red circle</phrase>"),
    (
        "kosmos-2",
        "reg",
        lambda text: "<object><patch_index_0259><patch_index_0751></object>" in text,
    ),
    (
        "qwen2_vl",
        "rec",
        lambda text: "<|object_ref_start|>the red circle<|object_ref_end|>" in text,
    ),
    ("qwen2_vl", "pqa", lambda text: "<|box_start|>(300,500)<|box_end|>" in text),
    ("qwen2_5_vl", "bqa", lambda text: "[64, 119, 322, 357]" in text),
    ("qwen3_vl", "reg", lambda text: "[100, 250, 500, 750]" in text),
    ("internvl", "grec", lambda text: "<ref>the red circle</ref>" in text),
    ("llava", "reg", lambda text: "[0.10, 0.31, 0.50, 0.69]" in text),
    (
        "instructblip",
        "vqav2",
        lambda text: text == "What is it? Answer with a single word or phrase.",
    ),
]


@pytest.mark.parametrize(("model_type", "name", "is_right"), PROMPTS)
def test_a_question_has_the_form_of_its_family(
    model_type: str, name: str, is_right: Callable[[str], bool]
) -> None:
    box = (64.0, 120.0, 320.0, 360.0)
    text = question(name, model_type, question="What is it?", boxes=(box,), captions=("a",))
    assert is_right(text), text


REFUSED = [
    ("molmo2", "rec", "no boxes"),
    ("paligemma", "res", "decoder"),
    ("kosmos-2", "res", "no outlines"),
    ("florence2", "vqav2", "no questions"),
    ("internvl", "pqa", "no points"),
    ("paligemma", "nlvr2", "one image"),
    ("llava", "coseg", "cannot be asked"),
]


@pytest.mark.parametrize(("model_type", "name", "why"), REFUSED)
def test_what_has_no_form_is_refused(model_type: str, name: str, why: str) -> None:
    one = annotation((48, 64), *([(48, 64)] if name in ("nlvr2", "coseg") else []))
    one.boxes = ((1.0, 2.0, 30.0, 40.0),)
    with pytest.raises(CannotAsk, match=re.escape(why)):
        Asker(family(model_type), task(name)).turns(one)


def test_no_place_is_asked_for_where_images_are_cut() -> None:
    asker = Asker(family("qwen3_vl"), task("rec"), cuts_images=True)
    with pytest.raises(CannotAsk, match="cuts out the middle"):
        asker.turns(annotation((48, 64)))
    region = annotation((48, 64))
    region.boxes = ((1.0, 2.0, 30.0, 40.0),)
    with pytest.raises(CannotAsk, match="cuts out the middle"):
        Asker(family("qwen3_vl"), task("reg"), cuts_images=True).turns(region)
    words = Asker(family("qwen3_vl"), task("vqav2"), cuts_images=True)
    assert words.turns(annotation((48, 64)))


def test_an_unknown_model_type_is_refused_with_a_way_out() -> None:
    with pytest.raises(Exception, match=r"no adapter for the model type 'mine'.*--plugin FILE"):
        family_of("mine")
