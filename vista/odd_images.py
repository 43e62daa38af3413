"""Images that are not as others: unreadable, inside a shard, and TIFF, which both libraries turn round unasked."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vista.errors import InputError
from vista.shards import Packed, opened

Picture = Path | Packed  # a file, or a member of a tar shard
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
ORIENTATION = 274  # the tag of a TIFF file
# orientation -> how to turn an upright image (H, W, 3) back into the stored pixels
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: lambda image: np.rot90(image, -1),
}
BROKEN = (Image.DecompressionBombError, OSError, ValueError, SyntaxError)  # of a broken header


class ImageError(InputError):
    """An image file that cannot be used. Its text is one sentence that names the file."""


def header_error(path: Picture, max_pixels: int, error: Exception) -> ImageError:
    """What Pillow's error at a header says to a person."""
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(f"The image {path} is too large: more than {max_pixels} pixels.")
    if isinstance(error, UnidentifiedImageError):
        formats = ", ".join(FORMATS)
        return ImageError(f"The image {path} is empty, damaged or no {formats} file.")
    reason = getattr(error, "strerror", None) or error
    return ImageError(f"The image {path} cannot be read: {reason}.")


def member(path: Path) -> Picture:
    """What lies inside a tar shard; the path itself where it leads through none."""
    try:
        return opened(path)
    except InputError as error:
        raise ImageError(f"The image {path} cannot be read: {error}.") from error


def load_tiff(
    path: Picture, exif: bool, decode: Callable[[Picture, bool], np.ndarray]
) -> np.ndarray:
    """The pixels of a TIFF file.

    Args:
        path: the file.
        exif: turn it upright; else the stored pixels are wanted.
        decode: reads any other format, uint8 (H, W, 3).
    """
    with Image.open(path, formats=FORMATS) as header:
        has_alpha = header.mode in ("RGBA", "RGBa")
        orientation = getattr(header, "tag_v2", {}).get(ORIENTATION, 1)
    # cv2 multiplies the colours of a TIFF by its alpha; of the other formats it drops it.
    image = _decode_by_pillow(path) if has_alpha else decode(path, exif)
    # Both libraries turn a TIFF upright, asked or not.
    if not exif and orientation in STORED:
        return np.ascontiguousarray(STORED[orientation](image))
    return image


def _decode_by_pillow(path: Picture) -> np.ndarray:
    # From memory: Pillow maps a plain file with its sides exchanged where it is to be turned by 90 degrees.
    data = io.BytesIO(path.read_bytes())
    try:
        with Image.open(data, formats=FORMATS) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"The image {path} is damaged: {error}.") from error
