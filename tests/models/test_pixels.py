"""What an encoder is shown, against each family's own image processor on a square image."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BaseImageProcessor,
    CLIPVisionConfig,
    Dinov2Config,
    DINOv3ViTConfig,
    InstructBlipConfig,
    PreTrainedConfig,
    ResNetConfig,
    SiglipVisionConfig,
)
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests.models.test_encoder import CNN, SIZES, VIT
from vista.data import InputError
from vista.images import ImageTransform
from vista.models.encoder import build_encoder
from vista.models.pixels import Pixels, pixels_of

SQUARE = {"height": 28, "width": 28}
CONFIGS = {
    "instructblip": InstructBlipConfig(vision_config={**VIT, "image_size": 28, "patch_size": 14}),
    "clip": CLIPVisionConfig(**VIT, image_size=28, patch_size=14),
    "siglip": SiglipVisionConfig(**VIT, image_size=28, patch_size=14),
    "dinov2": Dinov2Config(**SIZES, image_size=70, patch_size=14),  # trained at 70, shown 28
    "dinov3": DINOv3ViTConfig(**VIT, image_size=28, patch_size=14),
    "resnet": ResNetConfig(**CNN, embedding_size=8),
}
PROCESSORS = {
    "instructblip": BlipImageProcessorPil(size=SQUARE),
    "clip": CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=SQUARE),
    "siglip": SiglipImageProcessorPil(size=SQUARE),
    "dinov2": BitImageProcessorPil(
        size={"shortest_edge": 28},
        crop_size=SQUARE,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ),
    "resnet": ConvNextImageProcessorPil(size={"shortest_edge": 28}, crop_pct=1.0),
}


def shown(folder: Path, config: PreTrainedConfig, **given: int) -> Pixels:
    """What the encoder of a folder is shown."""
    config.save_pretrained(folder)
    return pixels_of(build_encoder(architecture=folder, **given).config)


def ours(pixels: Pixels, image: np.ndarray) -> torch.Tensor:
    transform = ImageTransform(pixels.size, pixels.mean, pixels.std)
    return transform.normalised(transform(image))


def grey_levels(pixels: Pixels, difference: torch.Tensor) -> torch.Tensor:
    """A difference of normalised values on the scale 0..255."""
    return difference.abs() * torch.tensor(pixels.std)[:, None, None] * 255


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_square_is_normalised_as_by_the_familys_own_processor(name: str, tmp_path: Path) -> None:
    """Of the right size already: only mean, deviation and scale are at work. Larger: filters differ by little."""
    processor: BaseImageProcessor = PROCESSORS[name]
    processor.save_pretrained(tmp_path)
    pixels = shown(tmp_path, CONFIGS[name])
    assert pixels.size == 28 and str(tmp_path) in pixels.source
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    theirs = processor(image, return_tensors="pt").pixel_values[0]
    assert grey_levels(pixels, ours(pixels, image) - theirs).max() < 0.01
    rows, columns = np.mgrid[0:280, 0:280] / 280
    large = (255 * np.stack([rows, columns, (rows + columns) / 2], axis=-1)).astype(np.uint8)
    theirs = processor(large, return_tensors="pt").pixel_values[0]
    assert grey_levels(pixels, ours(pixels, large) - theirs).max() < 1.5


def test_a_wide_image_is_squashed_and_nothing_is_cut_away(tmp_path: Path) -> None:
    """Whatever the processor says of the shorter edge and of a crop: an object at the edge is seen."""
    PROCESSORS["clip"].save_pretrained(tmp_path)
    pixels = shown(tmp_path, CONFIGS["clip"])
    image = np.zeros((30, 120, 3), np.uint8)
    image[:, :12] = image[:, -12:] = 255
    values = ours(pixels, image)
    assert values.shape == (3, 28, 28) and values[0, 14, 0] > 1 and values[0, 14, -1] > 1
    assert PROCESSORS["clip"](image, return_tensors="pt").pixel_values.max() < 0


@pytest.mark.parametrize(
    ("name", "mean", "family"),
    [
        ("instructblip", 0.48145466, "CLIP"),
        ("clip", 0.48145466, "CLIP"),
        ("siglip", 0.5, "SigLIP"),
        ("dinov2", 0.485, "ImageNet"),
        ("dinov3", 0.485, "ImageNet"),
        ("resnet", 0.485, "ImageNet"),
    ],
)
def test_without_a_file_it_is_what_the_family_was_trained_with(
    name: str, mean: float, family: str, tmp_path: Path
) -> None:
    pixels = shown(tmp_path, CONFIGS[name])
    assert pixels.mean[0] == mean and family in pixels.source


@pytest.mark.parametrize(
    "said",
    [
        {"do_rescale": False},  # means are then of values up to 255
        {"rescale_factor": 1 / 127.5},
        {"do_normalize": False},
        {"do_normalize": False, "do_rescale": False},
    ],
)
def test_other_scales_and_no_normalisation(said: dict, tmp_path: Path) -> None:
    processor = SiglipImageProcessorPil(
        size=SQUARE, image_mean=[1, 2, 3], image_std=[4, 5, 6], **said
    )
    processor.save_pretrained(tmp_path)
    pixels = shown(tmp_path, CONFIGS["siglip"])
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    theirs = processor(image, return_tensors="pt").pixel_values[0].float()
    torch.testing.assert_close(ours(pixels, image), theirs, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ({"size": 42}, 42),  # as older releases wrote it
        ({"size": {"shortest_edge": 64}, "crop_size": 56}, 56),
        ({"size": {"shortest_edge": 42}, "crop_size": 28, "do_center_crop": False}, 42),
        ({"size": {"height": 42, "width": 84}}, 70),  # no square: as it was trained
        ({"size": {"height": 50, "width": 50}}, 42),  # whole patches
        ({}, 70),
    ],
)
def test_the_side_is_that_of_the_square_that_the_tower_saw(
    sizes: dict, side: int, tmp_path: Path
) -> None:
    content = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, **sizes}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    assert shown(tmp_path, CONFIGS["dinov2"]).size == side
    assert shown(tmp_path, CONFIGS["dinov2"], image_size=98).size == 98
    assert shown(tmp_path, CONFIGS["clip"]).size == 28  # its positions decide


def test_a_processor_of_images_and_texts_keeps_it_in_a_group(tmp_path: Path) -> None:
    content = {"image_processor": {"image_mean": [0.1] * 3, "image_std": [0.2] * 3}}
    (tmp_path / "processor_config.json").write_text(json.dumps(content))
    assert shown(tmp_path, CONFIGS["clip"]).mean == pytest.approx((0.1,) * 3)


@pytest.mark.parametrize(
    "content",
    [
        {"image_mean": [0.5, 0.5], "image_std": [0.5] * 3},
        {"image_mean": [0.5] * 3, "image_std": [0.5, 0.5, 0]},
        {"image_mean": [0.5] * 3, "image_std": "x"},
        {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 0},
    ],
)
def test_a_damaged_file_is_one_sentence(content: dict, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="image_mean and image_std must hold three numbers each"):
        shown(tmp_path, CONFIGS["clip"])


def test_a_file_that_is_no_json_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(InputError, match=r"preprocessor_config\.json is no JSON file"):
        shown(tmp_path, CONFIGS["clip"])
