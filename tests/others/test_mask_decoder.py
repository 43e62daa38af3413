"""PaliGemma's mask decoder, on random weights of the published file's names and shapes, against plain numpy."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks import Task
from tests.readers.test_formats import read
from vista.codec.codec import Codec
from vista.data import InputError, MissingFileError, Prediction
from vista.others.answers import BINS, Translator
from vista.others.families.gemma3 import Gemma3
from vista.others.families.paligemma import PaliGemma, PaliGemmaMasks
from vista.others.mask_decoder import MaskDecoder
from vista.predictions import in_bins

DEPTH = 6  # of the code book
UP = ((4, 128, 128), (6, 128, 64), (8, 64, 32), (10, 32, 16))


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)

    found = {"_vq_vae._embedding": drawn(128, DEPTH) * 3, "encoder.0.weight": drawn(2, 1, 4, 4)}
    kernels = {"0": (128, DEPTH, 1), "12": (1, 16, 1)}
    for block in ("2", "3"):
        kernels |= {f"{block}.net.{k}": (128, 128, 3 if k < 4 else 1) for k in (0, 2, 4)}
    for name, (out, into, side) in kernels.items():
        found[f"decoder.{name}.weight"] = drawn(out, into, side, side)
        found[f"decoder.{name}.bias"] = drawn(out) * 0.1
    for place, into, out in UP:
        found[f"decoder.{place}.weight"] = drawn(into, out, 4, 4) * 2
        found[f"decoder.{place}.bias"] = drawn(out) * 0.1
    return found


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(C, H, W) by kernels (O, C, K, K), the borders filled up with zeros."""
    side = w.shape[2]
    padded = np.pad(x, ((0, 0), *[(side // 2, side // 2)] * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows, w) + b[:, None, None]


def enlarged(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Every pixel lays its kernel (C, O, 4, 4) down at twice its place; a border of one pixel is cut off."""
    _, height, width = x.shape
    out = np.zeros((w.shape[1], 2 * height + 2, 2 * width + 2))
    for row in range(height):
        for column in range(width):
            laid = np.einsum("c,coij->oij", x[:, row, column], w)
            out[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += laid
    return out[:, 1:-1, 1:-1] + b[:, None, None]


def twin(found: dict[str, np.ndarray], codes: list[int]) -> np.ndarray:
    def of(name: str) -> tuple[np.ndarray, np.ndarray]:
        return found[f"decoder.{name}.weight"], found[f"decoder.{name}.bias"]

    x = found["_vq_vae._embedding"][codes].reshape(4, 4, DEPTH).transpose(2, 0, 1)
    x = np.maximum(conv(x, *of("0")), 0)
    for block in ("2", "3"):
        y = np.maximum(conv(x, *of(f"{block}.net.0")), 0)
        y = np.maximum(conv(y, *of(f"{block}.net.2")), 0)
        x = x + conv(y, *of(f"{block}.net.4"))
    for place, _, _ in UP:
        x = np.maximum(enlarged(x, *of(str(place))), 0)
    return conv(x, *of("12"))[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "vae-oid.npz", **weights())
    return tmp_path / "vae-oid.npz"


CODES = [(7 * k) % 128 for k in range(16)]
TOKENS = "".join(f"<seg{code:03d}>" for code in CODES)


def test_the_square_is_that_of_plain_numpy(file):
    found, decoder = weights(), MaskDecoder(file)
    for codes in (CODES, [0] * 16, [127] * 15 + [3]):
        ours, theirs = decoder.square(codes), twin(found, codes)
        assert ours.shape == (64, 64) and np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()
    assert 0 < (decoder.square(CODES) > 0).mean() < 1


def test_a_mask_is_stretched_over_its_box(file):
    decoder = MaskDecoder(file)
    mask = decoder.mask(CODES, (10.7, 5.2, 74.9, 69.3), (80, 100))
    assert np.array_equal(mask[5:69, 10:74], decoder.square(CODES) > 0)
    assert mask.sum() == mask[5:69, 10:74].sum()
    wide = decoder.mask(CODES, (0, 0, 100, 40), (80, 100))
    square = Image.fromarray(decoder.square(CODES)).resize((100, 40), Image.Resampling.BILINEAR)
    assert np.array_equal(wide[:40], np.asarray(square) > 0) and not wide[40:].any()
    assert not decoder.mask(CODES, (3.2, 3.2, 3.9, 9), (80, 100)).any()


def test_answers_become_masks(file):
    family = PaliGemma().with_mask_decoder(file)
    assert {"mask", "masks"} <= family.asked and not {"mask", "masks"} & PaliGemma.asked
    task = Task.known["res"](Codec())
    (first, *_) = read("refcoco", "val")
    height, width = first.sizes[0]
    box = family.write_box((0, 0, width, height), first.sizes[0])
    read_back = in_bins(task, BINS).parse(
        Translator(family, task)(f"{box}{TOKENS} the cup", first), first
    )
    expected = family.decoder.mask(CODES, (0, 0, width, height), first.sizes[0])
    assert not read_back.malformed
    # An outline has no holes, and none of a pixel's corners.
    assert isinstance(read_back, Prediction) and read_back.masks
    union = np.any(read_back.masks, axis=0)
    assert (union & expected).sum() > 0.98 * expected.sum()
    for wrong in (
        box, TOKENS, f"{box}{TOKENS[:-8]}", f"{box}{TOKENS}<seg001>", f"{box}{TOKENS}<loc0001>",
        f"{box}{TOKENS.replace('<seg007>', '<seg128>')}", f"<loc0000><loc0000><loc0000><loc0000>{TOKENS}",
    ):  # fmt: skip
        assert task.parse(Translator(family, task)(wrong, first), first).malformed, wrong


def test_what_is_asked(file):
    from vista.others.family import Question

    family = PaliGemma().with_mask_decoder(file)
    assert isinstance(family, PaliGemmaMasks)
    question = Question(
        task="res",
        kind="mask",
        text="<image> Draw the cup.",
        expression="the cup",
        sizes=((40, 60),),
    )
    assert family.ask(question) == "<image>segment the cup"


def test_a_file_that_is_none_is_one_sentence(file, tmp_path):
    with pytest.raises(MissingFileError, match="there is no file"):
        MaskDecoder(tmp_path / "no.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match=r"text\.npz is no file of arrays"):
        MaskDecoder(tmp_path / "text.npz")
    lacking = {name: array for name, array in weights().items() if name != "decoder.4.weight"}
    np.savez(tmp_path / "lacking.npz", **lacking)
    with pytest.raises(InputError, match=r"lacking\.npz holds other weights .*4\.weight"):
        MaskDecoder(tmp_path / "lacking.npz")
    np.savez(tmp_path / "book.npz", **(weights() | {"_vq_vae._embedding": np.zeros((5, 6))}))
    with pytest.raises(InputError, match=r"book\.npz has no code book"):
        MaskDecoder(tmp_path / "book.npz")
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "objects.npz", **(weights() | {"decoder.0.bias": objects}))
    with pytest.raises(InputError, match=r"objects\.npz is no file of arrays"):
        MaskDecoder(tmp_path / "objects.npz")
    with pytest.raises(InputError, match="Gemma 3 has no mask decoder"):
        Gemma3().with_mask_decoder(file)
