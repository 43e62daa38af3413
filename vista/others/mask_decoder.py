"""PaliGemma's masks: 16 tokens `<seg000>` to `<seg127>` inside a box, drawn by a small network with weights of its own.

    decoder = MaskDecoder(Path("vae-oid.npz"))
    decoder.mask([3, 17, ...], (40.0, 30.0, 200.0, 180.0), (480, 640))      # bool (480, 640)

Each token names a row of a code book; the rows lie in a square of 4 x 4, which is enlarged to 64 x 64 and stretched
over the box. The layers and the names of their weights are those of google-research/big_vision,
`big_vision/evaluators/proj/paligemma/transfers/segmentation.py`; the file holds arrays alone, so no pickle is read.
After Ning et al., All in Tokens, arXiv:2301.02229.
"""

import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from vista.data import Box, InputError, Mask, MissingFileError, Size

CODES, SIDE = 128, 4  # rows of the code book; tokens of a side
NUM_TOKENS = SIDE * SIDE
BOOK = "_vq_vae._embedding"
PREFIX = "decoder."
WIDTHS = (128, 128, 64, 32, 16)  # channels before and after each enlargement


class Residual(nn.Module):
    """Two convolutions of 3 x 3 and one of 1 x 1, added to what goes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        changed: Tensor = self.net(hidden)
        return hidden + changed


def layers(depth: int) -> nn.Sequential:
    """Code book rows (B, `depth`, 4, 4) to (B, 1, 64, 64), above 0 on the object."""
    width = WIDTHS[0]
    found: list[nn.Module] = [nn.Conv2d(depth, width, 1), nn.ReLU()]
    found += [Residual(width), Residual(width)]
    for before, after in pairwise(WIDTHS):
        found += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*found, nn.Conv2d(WIDTHS[-1], 1, 1))


class MaskDecoder:
    """The network with the weights of a file.

    Raises:
        MissingFileError: it is not there.
        InputError: it is no such file.
    """

    def __init__(self, file: Path) -> None:
        weights = _read(file)
        book = weights.pop(BOOK, torch.empty(0))
        if book.ndim != 2 or len(book) != CODES:
            raise InputError(f"{file} has no code book {BOOK!r} of {CODES} rows")
        self.book = book
        self.net = layers(book.shape[1])
        try:
            self.net.load_state_dict(weights)
        except RuntimeError as error:
            what = " ".join(str(error).split())[:200]
            raise InputError(
                f"{file} holds other weights than PaliGemma's mask decoder: {what}"
            ) from error

    @torch.inference_mode()
    def square(self, codes: Sequence[int]) -> np.ndarray:
        """What 16 tokens draw, float32 (64, 64)."""
        rows = self.book[torch.tensor(codes)]  # (16, D)
        drawn: Tensor = self.net(rows.reshape(1, SIDE, SIDE, -1).permute(0, 3, 1, 2))
        return drawn[0, 0].numpy()

    def mask(self, codes: Sequence[int], box: Box, size: Size) -> Mask:
        """The mask of 16 tokens in a box, xyxy in pixels of an image of (H, W), bool (H, W)."""
        mask = np.zeros(size, dtype=bool)
        x0, y0, x1, y1 = (int(side) for side in box)  # cut, as the family's evaluator does
        if x1 > x0 and y1 > y0:
            square = Image.fromarray(self.square(codes))
            inside = square.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR)
            mask[y0:y1, x0:x1] = np.asarray(inside) > 0
        return mask


def _read(file: Path) -> dict[str, Tensor]:
    """The code book and the weights of the decoder, by their names there."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            names = [name for name in arrays.files if name == BOOK or name.startswith(PREFIX)]
            return {name.removeprefix(PREFIX): _tensor(arrays[name]) for name in names}
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no file {file}") from error
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} is no file of arrays (.npz): {error}") from error


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(array, dtype=np.float32))
