#!/usr/bin/env bash
# opencv-python-headless 4.12.0.88, pillow 12.0.0 and scikit-image 0.25.2 against pycocotools
#   2.0.11: one polygon in whole numbers is two masks.
#
# Expected: a mask whose contour is taken with cv2.findContours and stored as a COCO polygon decodes
#   to the same mask. A COCO polygon painted with cv2.fillPoly, PIL or skimage is the mask that
#   pycocotools decodes.
# Seen: for pycocotools a coordinate is a corner of a pixel, for the others the centre of one, and
#   these also paint the outline. So a contour loses a pixel in width and in height as a COCO
#   polygon: a square of 8 x 8 comes back as 7 x 7 (IoU 0.77), a disc of 49 pixels goes to 38, 28,
#   20, ... as it is stored and read again, and a line one pixel wide has a contour of two points,
#   which pycocotools refuses with a TypeError. The other way round the square of a COCO polygon
#   grows to 9 x 9 (IoU 0.79), and a bar 1 wide and 30 high gets 62 pixels in place of 30 (IoU
#   0.48).
# Why it matters: masks are turned into polygons and back in these ways, and so are polygons and
#   boxes that a model writes as text. A perfect answer then scores 0.48 to 0.94 instead of 1 above,
#   the thinner the object the worse, and two mean IoUs can differ by the painter alone. Paint truth
#   and answer with one painter, that of the source.
#
# Needs: python3 (3.11) with venv, and a package index for pip (about 150 MB).
set -euo pipefail

missing() {
    echo "missing: $1 (needed: python3 3.11 with venv, a package index for pip)" >&2
    exit 2
}
python3 -c "import ensurepip, venv" 2>/dev/null || missing "python3 with venv"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --only-binary :all: \
    numpy==2.2.6 pycocotools==2.0.11 opencv-python-headless==4.12.0.88 pillow==12.0.0 \
    scipy==1.15.3 scikit-image==0.25.2 >"$folder/pip.log" 2>&1 ||
    { cat "$folder/pip.log" >&2; missing "the pinned packages"; }

cat >"$folder/show.py" <<'PY'
import importlib.metadata

import cv2
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from skimage.draw import polygon2mask

SIZE = 60


def by_coco(points):
    flat = [points.ravel().astype(float).tolist()]
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, SIZE, SIZE)))


def by_cv2(points):
    return cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), [points.astype(np.int32)], 1)


def by_pil(points):
    image = Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(image).polygon([(int(x), int(y)) for x, y in points], fill=1)
    return np.array(image)


def by_skimage(points):
    return polygon2mask((SIZE, SIZE), points[:, ::-1]).astype(np.uint8)


def contour(mask):
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    assert len(found) == 1
    return found[0].reshape(-1, 2)


def iou(a, b):
    return round(float((a & b).sum() / (a | b).sum()), 2)


def rectangle(width, height):
    return 10 + np.array([[0, 0], [width, 0], [width, height], [0, height]])


for package in ["pycocotools", "opencv-python-headless", "pillow", "scikit-image"]:
    print(package, importlib.metadata.version(package))

SIDES = [(1, 30), (2, 30), (8, 8), (32, 32)]
painted = {}
print("\na COCO polygon, pixels by   pycocotools  fillPoly  PIL  skimage  IoU of the first two")
for sides in SIDES:
    points = rectangle(*sides)
    masks = [by_coco(points), by_cv2(points), by_pil(points), by_skimage(points)]
    counts = [int(mask.sum()) for mask in masks]
    painted[sides] = counts, iou(*masks[:2])
    print("%10d x %-13d %12d %9d %4d %8d %21.2f" % (*sides, *counts, painted[sides][1]))

returned = {}
print("\na mask, to a contour and back by        pycocotools    IoU   fillPoly    IoU")
for sides in SIDES:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[10 : 10 + sides[1], 10 : 10 + sides[0]] = 1
    points = contour(mask)
    again = by_cv2(points)
    try:
        stored = by_coco(points)
        returned[sides] = int(stored.sum()), iou(mask, stored)
    except TypeError:
        returned[sides] = "TypeError", 0.0
    row = (*sides, mask.sum(), *returned[sides], again.sum(), iou(mask, again))
    print("%10d x %-3d (%4d pixels) %22s %6.2f %10d %6.2f" % row)
    assert (again == mask).all(), "fillPoly no longer gives the mask of a contour back"

x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
disc = ((x - 30) ** 2 + (y - 30) ** 2 <= 16).astype(np.uint8)
left = [int(disc.sum())]
while left[-1] > 1:
    disc = by_coco(contour(disc))
    left.append(int(disc.sum()))
    assert left[-1] < left[-2], left
print("\na disc, stored as a contour and decoded by pycocotools again and again:", left)

assert painted == {
    (1, 30): ([30, 62, 62, 62], 0.48),
    (2, 30): ([60, 93, 93, 93], 0.65),
    (8, 8): ([64, 81, 81, 81], 0.79),
    (32, 32): ([1024, 1089, 1089, 1089], 0.94),
}, painted
assert returned == {
    (1, 30): ("TypeError", 0.0),
    (2, 30): (29, 0.48),
    (8, 8): (49, 0.77),
    (32, 32): (961, 0.94),
}, returned
assert left == [49, 38, 28, 20, 12, 4, 1], left
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "the behaviour has changed" >&2; exit 1; }
