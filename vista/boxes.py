"""How much two boxes share: areas in square pixels, continuous coordinates."""

from vista.data import Box


def box_area(box: Box) -> float:
    """Area in square pixels; 0 for swapped corners."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def box_intersection(a: Box, b: Box) -> float:
    """Area that two boxes share, in square pixels; continuous coordinates (no +1)."""
    return box_area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1; 0 where either area is 0."""
    shared = box_intersection(a, b)
    union = box_area(a) + box_area(b) - shared
    return shared / union if shared and union else 0.0
