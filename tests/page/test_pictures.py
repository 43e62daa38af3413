"""Files of people: read, kept under a secret key, refused in one sentence that names them."""

import numpy as np
import pytest
import torch

from tests.page.asking import picture, png_header
from vista.data import InputError
from vista.images import ImageTransform
from vista.page.limits import Limits
from vista.page.pictures import Pictures


@pytest.fixture(scope="module")
def transform():
    return ImageTransform(32)


def test_a_picture_is_kept_as_the_model_sees_it(transform):
    pictures = Pictures(transform, Limits())
    told = pictures.add(picture("large red circle", side=64), "C:/a b.png")
    assert (told["name"], told["width"], told["height"]) == ("a b.png", 64, 64)
    assert str(told["url"]).startswith("data:image/jpeg;base64,")
    kept = pictures.get(str(told["key"]))
    assert kept.size == (64, 64)
    assert kept.pixels.shape == (3, 32, 32) and kept.pixels.dtype == torch.float32
    assert torch.equal(pictures.get(str(told["key"])).pixels, kept.pixels)


def test_keys_are_long_and_never_the_same(transform):
    pictures = Pictures(transform, Limits())
    keys = {pictures.add(picture("large red circle"), "a.png")["key"] for _ in range(3)}
    assert len(keys) == 3
    assert min(len(str(key)) for key in keys) >= 32


def test_the_oldest_are_forgotten(transform):
    pictures = Pictures(transform, Limits(kept=2))
    keys = [str(pictures.add(picture("large red circle"), "a.png")["key"]) for _ in range(2)]
    pictures.get(keys[0])  # it was used last
    pictures.add(picture("large red circle"), "b.png")
    pictures.get(keys[0])
    with pytest.raises(InputError, match="forgotten"):
        pictures.get(keys[1])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (png_header(60_000, 60_000), "The image x.png is too large: more than 50000000 pixels"),
        (b"a text file", "The image x.png is empty, damaged or no BMP"),
        (b"", "The image x.png is empty"),
        (picture("large red circle")[:300], "The image x.png is damaged"),
        (bytes(30_000_000), "The file x.png is too large: more than 20 MB."),
    ],
)
def test_a_file_that_is_no_picture_is_a_sentence_with_its_name(transform, content, sentence):
    with pytest.raises(InputError) as caught:
        Pictures(transform, Limits()).add(content, "/home/somebody/x.png")
    assert str(caught.value).startswith(sentence)
    assert "/" not in str(caught.value)


def test_a_large_picture_is_sent_back_smaller(transform):
    import cv2

    _, data = cv2.imencode(".png", np.zeros((40, 3300, 3), np.uint8))
    told = Pictures(transform, Limits()).add(bytes(data), "long.png")
    assert (told["width"], told["height"]) == (3300, 40)
    assert len(str(told["url"])) < 20_000
