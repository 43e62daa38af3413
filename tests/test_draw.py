"""Pictures of answers."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vista.data import Prediction
from vista.draw import COLORS, MAX_LINES, MIN_SIDE, RED, contact_sheet, draw_answer, save_png
from vista.images import load_image


def grey(height: int = 96, width: int = 96) -> np.ndarray:
    return np.full((height, width, 3), 90, dtype=np.uint8)


def square_mask() -> np.ndarray:
    mask = np.zeros((96, 96), dtype=bool)
    mask[24:72, 24:72] = True
    return mask


@pytest.mark.parametrize(
    ("size", "drawn"), [((96, 96), (384, 384)), ((50, 200), (96, 384)), ((600, 800), (600, 800))]
)
def test_small_images_are_enlarged(size: tuple[int, int], drawn: tuple[int, int]) -> None:
    picture = draw_answer(grey(*size), Prediction(text="yes"), "Is it grey?")
    assert picture.dtype == np.uint8
    assert picture.shape[1] == drawn[1]
    assert picture.shape[0] > drawn[0]
    assert (picture[: drawn[0], : drawn[1]] == 90).all()


def test_a_narrow_image_leaves_room_for_the_words() -> None:
    assert (
        draw_answer(grey(400, 10), Prediction(text="a long answer " * 5), "").shape[1] == MIN_SIDE
    )


def test_a_mask_is_filled_and_outlined() -> None:
    picture = draw_answer(grey(), Prediction(masks=[square_mask()]), "")
    inside = (0.55 * 90 + 0.45 * np.array(COLORS[0])).astype(np.uint8)
    assert (picture[120:260, 120:260] == inside).all()
    assert (picture[:80, :384] == 90).all()
    assert (picture[96, 100:280] == COLORS[0]).all()


def test_an_empty_mask_and_several_regions() -> None:
    masks = [square_mask(), np.zeros((96, 96), dtype=bool)]
    boxes = [(0.0, 0.0, 96.0, 96.0), (10.0, 10.0, 20.0, 30.0)]
    picture = draw_answer(grey(), Prediction(masks=masks, boxes=boxes), "")
    assert (
        picture[383, 100:300] == COLORS[0]
    ).all()  # the last row of the image: x1, y1 are edges, not pixels
    assert (picture[60:100, 40] == COLORS[1]).all()


def test_a_point_and_a_malformed_answer_are_red() -> None:
    picture = draw_answer(
        grey(), Prediction(text="[12, 40", malformed=True), "Where?", points=[(48.0, 24.0)]
    )
    assert tuple(picture[96, 192]) == RED
    assert (picture[384:] == RED).all(axis=-1).any()


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the mask has size \[96, 96\], its image \[50, 50\]"):
        draw_answer(grey(50, 50), Prediction(masks=[square_mask()]), "")


def test_long_texts_are_wrapped_and_cut() -> None:
    short = draw_answer(grey(), Prediction(text="no"), "")
    long = draw_answer(grey(), Prediction(text="0, " * 400), "")
    word = draw_answer(grey(), Prediction(text="x" * 100), "")
    line = draw_answer(grey(), Prediction(text="no"), "Is it?").shape[0] - short.shape[0]
    assert long.shape[0] - short.shape[0] == MAX_LINES * line
    assert word.shape[0] > short.shape[0]
    assert (word[384:, -4:] == 255).all()


def test_the_image_that_was_passed_is_left_alone() -> None:
    image = grey(400, 400)
    draw_answer(image, Prediction(boxes=[(10.0, 10.0, 50.0, 50.0)]), "")
    assert (image == 90).all()


def test_contact_sheet() -> None:
    sheet = contact_sheet([grey(10, 30), grey(20, 10), grey(5, 5)], columns=2)
    assert sheet.shape == (2 * 28, 2 * 38, 3)
    assert (sheet[:10, :30] == 90).all()
    assert (sheet[:20, 38:48] == 90).all()
    assert (sheet[28:33, :5] == 90).all()
    assert (sheet == 90).all(axis=-1).sum() == 300 + 200 + 25
    for images, columns in (([], 2), ([grey()], 0)):
        with pytest.raises(ValueError, match="a contact sheet needs"):
            contact_sheet(images, columns)


def test_save_png_keeps_every_pixel(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    save_png(tmp_path / "new" / "x.png", image)
    assert np.array_equal(load_image(tmp_path / "new" / "x.png"), image)
    assert cv2.imread(str(tmp_path / "new" / "x.png")).shape == (20, 30, 3)
