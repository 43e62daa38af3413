"""How well the outlines of two masks agree, which IoU hardly shows on large masks."""

import cv2
import numpy as np

from vista.data import Mask


def boundary_f(prediction: Mask, target: Mask, tolerance: int = 2) -> float:
    """F-measure of boundary pixels that lie within a distance of the other mask's boundary.

    Args:
        prediction: bool (H, W).
        target: bool (H, W).
        tolerance: distance in pixels.

    Returns:
        0..1; 1 where both are empty.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1, 2 * tolerance + 1))
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edges = []
    for mask in (prediction, target):
        padded = np.pad(mask, 1).view(np.uint8)
        edges.append(cv2.subtract(padded, cv2.erode(padded, cross)))
    counts = [np.count_nonzero(edge) for edge in edges]
    if not all(counts):
        return float(counts[0] == counts[1])
    near = [
        np.count_nonzero(cv2.multiply(one, cv2.dilate(other, disc)))
        for one, other in (edges, edges[::-1])
    ]
    precision, recall = near[0] / counts[0], near[1] / counts[1]
    return 2 * precision * recall / max(precision + recall, 1e-12)
