"""Letters in images, drawn with the stroke font of OpenCV."""

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
CAPITAL = 21  # pixels of a capital's height at scale 1


def text_width(text: str, height: float) -> int:
    """Pixels that a text needs at a capital's height in pixels."""
    scale = height / CAPITAL
    (width, _), _ = cv2.getTextSize(text, FONT, scale, thickness=1)
    return width


def write_text(
    image: np.ndarray,
    text: str,
    middle: tuple[float, float],
    height: float,
    rgb: tuple[int, ...],
) -> None:
    """Writes a text into an image, uint8 (H, W, 3) in RGB.

    Args:
        image: changed in place.
        text: one line.
        middle: (x, y) of the middle of the text, pixels.
        height: a capital's height in pixels.
        rgb: 0..255 each.
    """
    x, y = middle
    left = round(x - text_width(text, height) / 2)
    bottom = round(y + height / 2)
    scale = height / CAPITAL
    cv2.putText(
        image,
        text,
        (left, bottom),
        FONT,
        scale,
        rgb,
        thickness=1,
        lineType=cv2.LINE_AA,
    )
