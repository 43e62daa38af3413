"""The encoder on the command line: its group of settings, and those of other groups that the built one fills in.

Neither its width nor the size of its images need be in a config: a folder's `config.json` may have decided on them.
"""

from collections.abc import Callable
from typing import Any

from jsonargparse import class_from_function
from transformers import PreTrainedModel

from vista.models.encoder import build_encoder
from vista.models.pixels import pixels_of

ENCODER = class_from_function(build_encoder)


# Setting of the data -> what of the encoder it is.
SHOWN: dict[str, Callable[[PreTrainedModel], Any]] = {
    "image_size": lambda encoder: pixels_of(encoder.config).size,
    "image_mean": lambda encoder: pixels_of(encoder.config).mean,
    "image_std": lambda encoder: pixels_of(encoder.config).std,
}


def print_shown(encoder: PreTrainedModel) -> None:
    """A line on what the encoder is shown."""
    pixels = pixels_of(encoder.config)
    print(f"  images are {pixels.size} x {pixels.size}, mean and deviation {pixels.source}")
