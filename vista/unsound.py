"""What is wrong with a region out of a file: its image's size, its box, polygons or run lengths.

A drawing library trusts what it is given: a coordinate far away, or run lengths that do not add up to the image, are a
wrong mask or worse. Nothing here draws. `vista/geometry.py` draws, what is plain at once, all else when it passed here.

    segmentation_problem([[10, 10, 50, 10, 50, 40]], (480, 640))            # "", it is sound
    segmentation_problem([["10", "10", "50", "10", "50", "40"]], (480, 640))
    # "its mask has a coordinate '10', which is no number"
    run_lengths("132")                                                      # int64 [1, 3, 2]
"""

from collections.abc import Sequence
from math import isfinite

import numpy as np

LARGEST = 1 << 53  # integers up to here are exact as floats
MOST_PIXELS = 1 << 26  # of an image, as `vista.images.load_image` takes them
LONGEST_SIDE = 1 << 16
SPREAD = 10  # image sizes that a region may leave its image by
LONGEST_OUTLINE = 1 << 22  # pixels along all polygons of a mask
# Compressed run lengths: a letter holds five bits of a number, and a sixth that says whether more follow.
FIRST_LETTER, BITS = 48, 5
MOST_LETTERS = 7  # of one number


def is_number(value: object) -> bool:
    """Whether it is a finite number of ordinary size; neither a truth value nor a text is one."""
    ordinary = isinstance(value, int | float) and value.__class__ is not bool
    return ordinary and -LARGEST <= value <= LARGEST  # type: ignore[operator]


def size_problem(size: object) -> str:
    """Why something is not the (H, W) of an image, or nothing."""
    sides = list(size) if isinstance(size, list | tuple) else []
    if len(sides) != 2 or not all(isinstance(s, int) and s.__class__ is not bool for s in sides):
        return f"its image has the size {shown(size)}, which is not two whole numbers"
    height, width = sides
    if min(sides) < 1 or max(sides) > LONGEST_SIDE or height * width > MOST_PIXELS:
        return f"its image has the size {shown(size)}, which no image has"
    return ""


def is_box(box: object, size: tuple[int, int]) -> bool:
    """Whether it is four numbers within some sizes of an image of (H, W): the corners xyxy in pixels."""
    return are_four(box) and _is_near(box[::2], size[1]) and _is_near(box[1::2], size[0])  # type: ignore[index]


def are_four(values: object) -> bool:
    """Whether they are four numbers."""
    if not isinstance(values, list | tuple) or len(values) != 4:
        return False
    return all_finite(values) or all(map(is_number, values))


def polygons_of(segmentation: object) -> list:
    """The list of polygons of COCO's segmentation; a flat list of numbers is one polygon."""
    is_flat = isinstance(segmentation, list) and segmentation and is_number(segmentation[0])
    if is_flat and all(map(is_number, segmentation)):  # type: ignore[call-overload]
        return [segmentation]
    return segmentation  # type: ignore[return-value]  # as it is, where it is none


def enclosing(segmentation: object) -> list[list[float]]:
    """The polygons of a well-formed segmentation that enclose something: two points do not."""
    return [polygon for polygon in polygons_of(segmentation) if len(polygon) >= 6]


def segmentation_problem(segmentation: object, size: tuple[int, int]) -> str:
    """Why COCO's segmentation of an object in an image of (H, W) is no mask, or nothing.

    Args:
        segmentation: flat polygons [x1, y1, x2, y2, ...] in pixels, one of them alone, or an RLE dict.
        size: (H, W) of the image.
    """
    problem = malformed(segmentation, size)
    if problem or isinstance(segmentation, dict):
        return problem
    if not enclosing(segmentation):
        return "its mask has no polygon of three points or more"
    return ""


def malformed(segmentation: object, size: tuple[int, int]) -> str:
    """As `segmentation_problem`, but a list without any polygon that encloses something is well-formed: no mask."""
    problem = size_problem(size)
    if problem:
        return problem
    if isinstance(segmentation, dict):
        return _rle_problem(segmentation, size)
    polygons = polygons_of(segmentation)
    if not isinstance(polygons, list):
        return f"its mask is {shown(segmentation)}, which has no polygon of three points or more"
    for polygon in polygons:
        problem = _polygon_problem(polygon, size)
        if problem:
            return problem
    # A bound first, which nearly every mask keeps.
    bound = sum(map(len, polygons)) * (2 * SPREAD + 1) * max(size)
    if bound > LONGEST_OUTLINE and sum(map(_outline, polygons)) > LONGEST_OUTLINE:
        return f"its mask has an outline of more than {LONGEST_OUTLINE} pixels"
    return ""


def run_lengths(counts: object) -> np.ndarray:
    """The run lengths of an RLE as they are: a list of whole numbers, or COCO's compressed text.

    Returns:
        int64 (N,), of zeros and ones in turn, column by column.

    Raises:
        ValueError: they are no run lengths; says why.
    """
    if isinstance(counts, str):
        counts = counts.encode("utf-8", errors="backslashreplace")
    if not isinstance(counts, bytes | list):
        raise ValueError(f"its mask has the run lengths {shown(counts)}")
    runs = _decompress(counts) if isinstance(counts, bytes) else counts
    for run in runs:
        if run.__class__ is not int or not 0 <= run <= MOST_PIXELS:
            raise ValueError(f"its mask has the run length {shown(run)}")
    return np.array(runs, dtype=np.int64)


def joined(runs: np.ndarray) -> np.ndarray:
    """The same mask in run lengths of which none is 0 but perhaps the first, as libraries expect them, int64 (N,)."""
    ones = np.arange(len(runs)) % 2 == 1
    ones, runs = ones[runs > 0], runs[runs > 0]
    starts = np.flatnonzero(np.diff(ones, prepend=not ones[0]))
    lengths = np.add.reduceat(runs, starts)
    return np.insert(lengths, 0, 0) if ones[0] else lengths


def shown(value: object, most: int = 60) -> str:
    """A value out of a file for a message, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # of digits without end, of brackets without end
        return "more than can be shown"
    return text if len(text) <= most else f"{text[:most]}..."


def _rle_problem(rle: dict, size: tuple[int, int]) -> str:
    stated = rle.get("size")
    if size_problem(stated) or list(stated or ()) != list(size):
        return f"its mask has size {shown(stated)}, its image {list(size)}"
    try:
        runs = run_lengths(rle.get("counts"))
    except ValueError as error:
        return str(error)
    pixels = size[0] * size[1]
    if int(runs.sum()) != pixels:
        return f"its mask has run lengths of {int(runs.sum())} pixels, its image {pixels}"
    return ""


def _polygon_problem(polygon: object, size: tuple[int, int]) -> str:
    if not isinstance(polygon, list) or len(polygon) % 2:
        return f"its mask has a polygon {shown(polygon)}, which is not pairs of numbers"
    for value in () if all_finite(polygon) else polygon:
        if not is_number(value):
            return f"its mask has a coordinate {shown(value)}, which is no number"
    if not _is_near(polygon[::2], size[1]) or not _is_near(polygon[1::2], size[0]):
        return f"its mask lies far outside its image of {list(size)}"
    return ""


def _is_near(values: Sequence[float], side: int) -> bool:
    """Whether coordinates lie within some sizes of an image whose side is so long."""
    return not values or (-SPREAD * side <= min(values) and max(values) <= (SPREAD + 1) * side)


def all_finite(values: Sequence[object]) -> bool:
    """Whether all values are finite numbers of Python's own: what nearly every list is, seen quickly."""
    try:
        return set(map(type, values)) <= {int, float} and all(map(isfinite, values))  # type: ignore[arg-type]
    except OverflowError:  # an integer beyond all floats
        return False


def _outline(polygon: list[float]) -> float:
    """How far one goes along a polygon, side by side, from its last point to its first, too; along x and y added up."""
    return sum(abs(a - b) for a, b in zip(polygon, [*polygon[2:], *polygon[:2]], strict=True))


def _decompress(letters: bytes) -> list[int]:
    """The inverse of pycocotools' `rleToString`: numbers in groups of five bits, from the fourth on as differences."""
    codes = np.frombuffer(letters, dtype=np.uint8).astype(np.int64) - FIRST_LETTER
    if not len(codes) or codes.min() < 0 or codes.max() >= 1 << (BITS + 1):
        raise ValueError(f"its mask has the run lengths {shown(letters)}, which are none")
    ends = np.flatnonzero(codes < 1 << BITS)  # the last letter of each number
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise ValueError("its mask has run lengths that end early")
    letters_of = np.diff(ends, prepend=-1)  # of each number
    if letters_of.max() > MOST_LETTERS:
        raise ValueError("its mask has a run length that is too long")
    starts = ends + 1 - letters_of
    place = np.arange(len(codes)) - np.repeat(starts, letters_of)  # of each letter in its number
    runs = np.add.reduceat((codes % (1 << BITS)) << (BITS * place), starts)
    negative = codes[ends] >= 1 << (BITS - 1)
    runs[negative] -= 1 << (BITS * letters_of[negative])
    # The difference is from the number before the last, so that like is compared with like.
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    found: list[int] = runs.tolist()
    return found
