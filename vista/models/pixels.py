"""What an encoder is shown: the side of its square of pixels, and the mean and deviation that they are normalised by.

    Pixels(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "checkpoints/dinov2/preprocessor_config.json")

The numbers are those of the folder's image processor; where it has none, those that its family was trained with. Of a
processor nothing else is followed: the whole image is squashed to a square (`vista/images.py`), whatever it says of
shorter edges and crops. Cutting out the middle would hide objects and shift every box; a picture that is a little
narrower than it was hides none, and boxes are shares of the image's own width and height.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from transformers import PreTrainedConfig
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    IMAGENET_STANDARD_MEAN,
    IMAGENET_STANDARD_STD,
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
)

from vista.data import InputError

Channels: TypeAlias = tuple[float, float, float]  # one number for red, green and blue

# Of a family, where a folder has no file: mean, deviation.
USUAL = {
    "CLIP": (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD),
    "SigLIP": (IMAGENET_STANDARD_MEAN, IMAGENET_STANDARD_STD),
    "ImageNet": (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD),
}
FILES = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class Pixels:
    """How an image becomes an encoder's input, (value / 255 - mean) / std.

    Attributes:
        size: side S of the square in pixels.
        mean: of each channel, on the scale 0..1.
        std: of each channel, on the scale 0..1.
        source: where mean and std come from, for people.
    """

    size: int
    mean: Channels
    std: Channels
    source: str


@dataclass(frozen=True)
class Processor:
    """What a folder says of its images: the file, and what is in it."""

    file: Path
    content: dict[str, Any]

    def side(self) -> int | None:
        """Side of the square that the tower was shown; none where the file says nothing of one."""
        crop = self.content.get("crop_size") if self.content.get("do_center_crop", True) else None
        size = crop or self.content.get("size")
        side, *others = size.values() if isinstance(size, dict) else (size,)
        is_square = all(other == side for other in others)
        return side if isinstance(side, int) and side > 0 and is_square else None

    def normalisation(self) -> tuple[Channels, Channels]:
        """Mean and deviation on the scale 0..1, whatever scale the file's own values have.

        Raises:
            InputError: they are not one number for each of three channels.
        """
        said = self.content
        mean, std = [0.0] * 3, [1.0] * 3
        if said.get("do_normalize", True):
            mean, std = said.get("image_mean", mean), said.get("image_std", std)
        scale = 255 * said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 255
        try:
            red, green, blue = (float(value) / scale for value in mean)
            widths = [float(value) / scale for value in std]
        except (TypeError, ValueError, ZeroDivisionError):
            widths = []
        if len(widths) != 3 or not min(widths) > 0:
            raise InputError(
                f"{self.file}: image_mean and image_std must hold three numbers each, the latter above 0"
            )
        return (red, green, blue), (widths[0], widths[1], widths[2])


def read_processor(weights: Path) -> Processor | None:
    """The image processor of a folder, or beside a file; none where there is none.

    Raises:
        InputError: its file is damaged.
    """
    folder = weights if weights.is_dir() else weights.parent
    for file in (folder / name for name in FILES):
        if not file.is_file():
            continue
        try:
            content = json.loads(file.read_text(encoding="utf-8", errors="replace"))
        except ValueError as error:
            raise InputError(f"{file} is no JSON file: {error}") from error
        if isinstance(content, dict):
            # A processor of images and texts keeps the one of images in a group of its own.
            content = content.get("image_processor", content)
        if isinstance(content, dict) and "image_mean" in content:
            return Processor(file, content)
    return None


def pixels_of(config: PreTrainedConfig) -> Pixels:
    """What a tower is shown, as `set_pixels` has put it into its config."""
    said: dict[str, Any] = config.pixels  # type: ignore[attr-defined]
    return Pixels(said["size"], _channels(said["mean"]), _channels(said["std"]), said["source"])


def usual_pixels(family: str, size: int) -> Pixels:
    """What a family was trained with, a key of `USUAL`."""
    mean, std = USUAL[family]
    return Pixels(size, _channels(mean), _channels(std), f"those of {family}")


def _channels(values: Sequence[float]) -> Channels:
    red, green, blue = values
    return (red, green, blue)


def set_pixels(config: PreTrainedConfig, pixels: Pixels) -> None:
    """Keep it in the config of the tower, as plain values: what is saved of a tower then says it too."""
    plain = asdict(pixels)
    plain |= {"mean": list(pixels.mean), "std": list(pixels.std)}
    config.pixels = plain  # type: ignore[attr-defined]
