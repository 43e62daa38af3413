"""An answer as a picture: masks, boxes and points over the image, the words on a white strip below.

    picture = draw_answer(image, prediction, "Segment the red circle.")  # uint8 (H', W', 3), RGB
    save_png(Path("answers/0001.png"), contact_sheet([picture, other], columns=2))

OpenCV 5 writes any letter; OpenCV 4 writes question marks for what is not ASCII.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from vista.data import Box, Mask, Prediction

Color: TypeAlias = tuple[int, int, int]  # RGB, 0-255

MIN_SIDE = 384  # smaller images are enlarged until their long side has this many pixels
MAX_LINES = 7  # of one text below the image: a mask is 64 numbers
LINE_HEIGHT = 20
MARGIN = 8

# The colours of Okabe and Ito (2008), which colour-blind readers can tell apart.
COLORS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
GREY = (110, 110, 110)
RED = (200, 0, 0)


def draw_answer(
    image: np.ndarray,
    prediction: Prediction,
    title: str,
    points: Sequence[tuple[float, float]] = (),
) -> np.ndarray:
    """Draw what a model answered.

    Regions of the same answer get different colours, and numbers where there are several.

    Args:
        image: uint8 (H, W, 3), RGB.
        prediction: its `masks` (bool (H, W)) and `boxes` (xyxy in pixels of the image) are drawn, its `text` is
            written; a malformed one says so.
        title: the prompt, written above the answer.
        points: x, y in pixels of the image, for instance the point that a question is about.

    Returns:
        uint8 (H', W', 3), RGB.

    Raises:
        ValueError: a mask is not of the image's size.
    """
    scale = max(1.0, MIN_SIDE / max(image.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    canvas = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    for index, mask in enumerate(prediction.masks):
        if mask.shape != image.shape[:2]:
            raise ValueError(
                f"the mask has size {list(mask.shape)}, its image {list(image.shape[:2])}"
            )
        _draw_mask(canvas, mask, COLORS[index % len(COLORS)])
    for index, box in enumerate(prediction.boxes):
        _draw_box(canvas, box, scale, COLORS[index % len(COLORS)])
    _number_regions(canvas, prediction, scale)
    for x, y in points:
        center = (round(x * scale), round(y * scale))
        cv2.circle(canvas, center, 6, WHITE, -1, cv2.LINE_AA)
        cv2.circle(canvas, center, 4, RED, -1, cv2.LINE_AA)
    answer = (prediction.text, BLACK)
    if prediction.malformed:
        answer = (f"{prediction.text} (malformed)", RED)
    texts = ((title, GREY), answer)
    canvas = pad(canvas, height, max(width, MIN_SIDE))
    strip = text_strip(texts, canvas.shape[1])
    return np.vstack((canvas, strip))


def contact_sheet(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Several pictures on one, row by row.

    Args:
        images: uint8 (H, W, 3) each, RGB, of any sizes.
        columns: pictures in a row.

    Returns:
        uint8 (H', W', 3), RGB.

    Raises:
        ValueError: there is no picture, or no column.
    """
    if not images or columns < 1:
        raise ValueError(
            f"a contact sheet needs a picture and a column, not {len(images)} and {columns}"
        )
    height = max(image.shape[0] for image in images) + MARGIN
    width = max(image.shape[1] for image in images) + MARGIN
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * height, columns * width, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top = row * height
        left = column * width
        sheet[top : top + height, left : left + width] = pad(image, height, width)
    return sheet


def jpeg(image: np.ndarray, quality: int = 85) -> bytes:
    """A picture, uint8 (H, W, 3), RGB, as the content of a JPEG file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def fitted(image: np.ndarray, most: int) -> np.ndarray:
    """A picture, uint8 (H, W, 3), shrunk until no side is longer than `most` pixels."""
    scale = most / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0])))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def save_png(path: Path, image: np.ndarray) -> None:
    """Write a picture; the folder is made if it is not there.

    Args:
        path: the file.
        image: uint8 (H, W, 3), RGB.
    """
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def _draw_mask(canvas: np.ndarray, mask: Mask, color: Color) -> None:
    """A translucent fill with an opaque outline."""
    size = (canvas.shape[1], canvas.shape[0])
    enlarged = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    inside = enlarged.astype(bool)
    blend = 0.55 * canvas[inside] + 0.45 * np.array(color)  # (pixels, 3)
    canvas[inside] = blend.astype(np.uint8)
    outlines, _ = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, outlines, -1, WHITE, 3, cv2.LINE_AA)
    cv2.drawContours(canvas, outlines, -1, color, 2, cv2.LINE_AA)


def _draw_box(
    canvas: np.ndarray,
    box: Box,
    scale: float,
    color: Color,
) -> None:
    """A rectangle with a white rim, so that it shows on any background."""
    x0, y0, x1, y1 = (round(value * scale) for value in box)
    first = (x0, y0)
    last = (x1 - 1, y1 - 1)
    cv2.rectangle(canvas, first, last, WHITE, 4)
    cv2.rectangle(canvas, first, last, color, 2)


def _number_regions(canvas: np.ndarray, prediction: Prediction, scale: float) -> None:
    """1, 2, ... in the order of the answer: inside each mask, at the upper left corner of each box."""
    inside = [_deepest_pixel(mask) for mask in prediction.masks]
    corners = [(box[0], box[1]) for box in prediction.boxes]
    for anchors in (inside, corners):
        if len(anchors) < 2:
            continue  # a single region needs no number
        for number, anchor in enumerate(anchors, start=1):
            if anchor is None:
                continue  # an empty mask
            x, y = anchor
            corner = (round(x * scale), round(y * scale))
            _draw_tag(canvas, str(number), corner)


def _deepest_pixel(mask: Mask) -> tuple[float, float] | None:
    """x, y of the pixel that is farthest from the mask's border; None where the mask is empty."""
    if not mask.any():
        return None
    # The rim of zeros makes the border of the image a border of the mask.
    padded = np.pad(mask, 1).astype(np.uint8)  # (H + 2, W + 2)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    depth = depth[1:-1, 1:-1]  # (H, W)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(column), float(row)


def _draw_tag(canvas: np.ndarray, text: str, corner: tuple[int, int]) -> None:
    """Black on a white plate, shifted into the picture."""
    width = _text_width(text) + 6
    height = 18
    left = min(max(corner[0], 0), canvas.shape[1] - width)
    top = min(max(corner[1], 0), canvas.shape[0] - height)
    last = (left + width - 1, top + height - 1)
    cv2.rectangle(canvas, (left, top), last, WHITE, -1)
    _write(canvas, text, (left + 3, top + 14), BLACK)


def _write(
    canvas: np.ndarray,
    text: str,
    origin: tuple[int, int],
    color: Color,
) -> None:
    cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, 1, cv2.LINE_AA)


def text_strip(texts: Sequence[tuple[str, Color]], width: int) -> np.ndarray:
    """Texts under each other, wrapped to a width in pixels, on white; uint8 (H, W, 3), RGB."""
    lines = []
    for text, color in texts:
        wrapped = list(_wrap(text, width - 2 * MARGIN))
        if len(wrapped) > MAX_LINES:
            wrapped = [*wrapped[:MAX_LINES], "..."]
        lines += [(line, color) for line in wrapped]
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN
    strip = np.full((height, width, 3), 255, dtype=np.uint8)
    for index, (line, color) in enumerate(lines):
        baseline = MARGIN + index * LINE_HEIGHT + 15
        _write(strip, line, (MARGIN, baseline), color)
    return strip


def _wrap(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` pixels; a word that is longer is cut."""
    line = ""
    for word in text.split():
        candidate = f"{line} {word}".strip()
        if _text_width(candidate) <= width:
            line = candidate
            continue
        if line:
            yield line
        line = word
        while _text_width(line) > width:
            fits = max(1, len(line) - 1)
            while fits > 1 and _text_width(line[:fits]) > width:
                fits -= 1
            yield line[:fits]
            line = line[fits:]
    if line:
        yield line


def _text_width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    return width


def pad(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """White at the right and below, up to a size; uint8 (H, W, 3), RGB."""
    padded = np.full((height, width, 3), 255, dtype=np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded
