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
    diameter = 2 * tolerance + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edges = []  # uint8 (H + 2, W + 2) each
    for mask in (prediction, target):
        padded = np.pad(mask, 1).view(np.uint8)
        eroded = cv2.erode(padded, cross)
        edges.append(cv2.subtract(padded, eroded))
    ours, theirs = edges
    num_ours = np.count_nonzero(ours)
    num_theirs = np.count_nonzero(theirs)
    if not num_ours or not num_theirs:
        return float(num_ours == num_theirs)
    ours_near = cv2.multiply(ours, cv2.dilate(theirs, disc))
    theirs_near = cv2.multiply(theirs, cv2.dilate(ours, disc))
    precision = np.count_nonzero(ours_near) / num_ours
    recall = np.count_nonzero(theirs_near) / num_theirs
    return 2 * precision * recall / max(precision + recall, 1e-12)
