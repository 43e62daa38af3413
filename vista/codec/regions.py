"""Regions in a prompt, the mark `<objs>`: a box, a point or a mask of the object that is asked about.

    "[104, 250, 396, 541]", "[250, 396]" or "[104, 250, 131, 263, ..., 98, 301]"

Evaluation uses one kind, training draws it.
"""

from typing import Literal, TypeAlias

import numpy as np

from vista.codec.codec import Codec
from vista.data import Annotation, neutralise, size_of
from vista.geometry import decode_segmentation

Kind: TypeAlias = Literal["box", "point", "mask"]


def region_text(
    annotation: Annotation, codec: Codec, kind: Kind, rng: np.random.Generator | None = None
) -> str:
    """The first region of an annotation as text; without a box the expression, where a person typed the region.

    Args:
        annotation: its first box, with the first segmentation if there is one, in pixels of the first image.
        codec: writes it.
        kind: how it is given in evaluation.
        rng: draws the kind, of those that are known, and where a point lies.
    """
    if not annotation.boxes:
        return neutralise(annotation.expression)
    size = size_of(annotation)
    if rng is not None:
        kinds: list[Kind] = ["box", "point"]
        if annotation.segmentations:
            kinds.append("mask")
        kind = kinds[rng.integers(len(kinds))]
    if kind == "point":
        return codec.point_to_text(_point(annotation, rng), size)
    if kind == "mask":
        text = codec.mask_to_text(decode_segmentation(annotation.segmentations[0], size))
        if text:  # a mask may be too small to draw
            return text
    return codec.box_to_text(annotation.boxes[0], size)


def _point(annotation: Annotation, rng: np.random.Generator | None) -> tuple[float, float]:
    """A point (x, y) of the region in pixels: the annotated one, or drawn."""
    x0, y0, x1, y1 = annotation.boxes[0]
    if rng is None:
        x, y = annotation.extra.get("point", ((x0 + x1) / 2, (y0 + y1) / 2))
        return x, y
    if annotation.segmentations:
        mask = decode_segmentation(annotation.segmentations[0], size_of(annotation))
        rows, columns = np.nonzero(mask)
        if len(rows):
            chosen = rng.integers(len(rows))
            return columns[chosen] + 0.5, rows[chosen] + 0.5
    # The corners of a box often belong to something else: its middle half is taken.
    across, down = rng.uniform(0.25, 0.75, size=2)
    return x0 + across * (x1 - x0), y0 + down * (y1 - y0)
