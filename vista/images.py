"""From an image file to the tensor that the encoder sees.

    load_image(root / "coco/val2017/000000000139.jpg")  # uint8 (H, W, 3), RGB, the pixels that were annotated
    transform = ImageTransform(image_size=224)
    pixels = transform(image)                           # uint8 (3, 224, 224)
    transform.normalised(pixels)                        # float32 (3, 224, 224)

The image is resized straight to S x S, as InstructBLIP does, so no letter-box offset exists and coordinates scale by
S / W and S / H alone. Loader processes give bytes, a quarter of floats, which are normalised where the encoder is.
"""

import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from vista.data import Size
from vista.jitter import Jitter
from vista.odd_images import BROKEN, FORMATS, ImageError, Picture, header_error, load_tiff, member

# The normalisation of OpenAI's CLIP, which EVA-CLIP and InstructBLIP's image processor keep.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def load_image(path: Path, max_pixels: int = 2**26, exif: bool = False) -> np.ndarray:
    """The pixels of an image file.

    Annotations are made on the stored pixels, so the camera's orientation is ignored unless `exif` asks for it.
    Grey, palette and 16-bit images become 8-bit RGB; an alpha channel is dropped.

    Args:
        path: a BMP, GIF, JPEG, PNG, PPM, TIFF or WEBP file, or a member of a tar shard (vista/shards.py).
        max_pixels: larger images (width x height as their header says) are refused before they are decoded.
        exif: turn the image upright as its EXIF orientation says (for a person's upload).

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ImageError: the file is missing, empty, damaged, too large, or of another format.
    """
    file = path if path.exists() else member(path)
    kind = _check_header(file, max_pixels)
    return load_tiff(file, exif, _decode) if kind == "TIFF" else _decode(file, exif)


def _decode(path: Picture, exif: bool) -> np.ndarray:
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    flags = cv2.IMREAD_COLOR_RGB if exif else cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise ImageError(f"The image {path} is damaged: {error.err}.") from error
    if image is None:
        raise ImageError(f"The image {path} is damaged: its header is intact, its pixels are not.")
    return image


def _check_header(path: Picture, max_pixels: int) -> str:
    """The format of an image; what is no image or too large is refused from the header alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            with Image.open(path, formats=FORMATS) as header:
                width, height = header.size
                kind = header.format or ""
    except BROKEN as error:
        raise header_error(path, max_pixels, error) from error
    if width * height > max_pixels:
        size = f"{width} x {height} pixels, more than {max_pixels}"
        raise ImageError(f"The image {path} is too large: {size}.")
    return kind


def same_shape(stated: Size, found: Size) -> bool:
    """Whether an image of one (H, W) may be one of the other, enlarged or shrunk.

    Regions are scaled along each side by itself, so only the ratio of the sides counts. A pixel more or less, or one
    per cent, comes of rounding.
    """
    height, width = stated
    rows, columns = found
    difference = abs(width * rows - height * columns)  # a pixel more: by the opposite side
    return difference <= max(height, width, rows, columns, 0.01 * width * rows)


class ImageTransform:
    """Resize straight to a square; the numbers that the encoder sees.

    Shrinking averages over areas and enlarging is bicubic. On 20 COCO images this stays within 1.2 (S=224) and 1.6
    (S=96) grey levels of Pillow's bicubic filter, InstructBLIP's own; cv2's bicubic filter alone, which skips pixels
    when it shrinks, is 5.4 and 9.5 away.

    Args:
        image_size: side S of the square in pixels.
        mean: subtracted from each channel, on the scale 0..1.
        std: divides each channel, on the scale 0..1.
        augment: vary brightness, contrast and saturation, and the hue a little (answers name colours).
    """

    def __init__(
        self,
        image_size: int = 96,
        mean: tuple[float, float, float] = CLIP_MEAN,
        std: tuple[float, float, float] = CLIP_STD,
        augment: bool = False,
    ) -> None:
        self.image_size = image_size
        self.jitter = Jitter() if augment else None
        # In the order of albumentations' steps, so that the numbers are the same to the last bit.
        self.mean = 255 * torch.tensor(mean)[:, None, None]
        self.factor = 1 / (255 * torch.tensor(std)[:, None, None])

    def __call__(self, image: np.ndarray, seed: int = 0) -> torch.Tensor:
        """The image as a square.

        Args:
            image: uint8 (H, W, 3), RGB.
            seed: of the augmentation; one per position of the training order, so that a resumed run sees the same.

        Returns:
            uint8 (3, S, S).
        """
        side = self.image_size
        if image.shape[:2] != (side, side):
            method = cv2.INTER_AREA if side < max(image.shape[:2]) else cv2.INTER_CUBIC
            image = cv2.resize(image, (side, side), interpolation=method)
        if self.jitter is not None:
            image = self.jitter(image, seed)
        return torch.from_numpy(image).permute(2, 0, 1)

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the encoder is shown of uint8 (..., 3, S, S): float32 of the same shape, on the same device."""
        numbers = pixels.to(torch.float32, memory_format=torch.contiguous_format)
        numbers -= self.mean.to(pixels.device, non_blocking=True)
        numbers *= self.factor.to(pixels.device, non_blocking=True)
        return numbers
