#!/usr/bin/env bash
# shapely 2.1.2 (GEOS 3.13) against pycocotools 2.0.11: the area of a polygon that crosses itself
#   depends on who is asked.
#
# Expected: the area of a polygon is about the number of pixels in its mask, and a call that repairs
#   an invalid polygon keeps what it covers.
# Seen: a bow tie of two triangles of 400 has 800 pixels in pycocotools. Its Polygon.area in shapely
#   is 0, for the two halves turn in opposite directions and cancel; buffer(0), often used as the
#   repair, silently drops one half (400); make_valid gives 800. A five-pointed star drawn in one
#   stroke has 484 pixels, as its core is outside by the even-odd rule; shapely says 918, for the
#   core counts twice, then 702 after buffer(0), which fills the core, and 485 after make_valid.
#   Intersection of the unrepaired bow tie raises a GEOSException.
# Why it matters: a language model writes the points of a mask one by one, and the outline may cross
#   itself. The same answer then gets different scores by geometry and by pixels: the bow tie,
#   compared with itself in pixels, has an IoU of 1.0 after make_valid and 0.5 after buffer(0). A
#   filter "area > 0" throws it out. Score pixels, or repair by make_valid.
#
# Needs: python3 (3.11) with venv, and a package index for pip.
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
    numpy==2.2.6 pycocotools==2.0.11 shapely==2.1.2 >"$folder/pip.log" 2>&1 ||
    { cat "$folder/pip.log" >&2; missing "the pinned packages"; }

cat >"$folder/show.py" <<'PY'
import importlib.metadata
import math

import numpy as np
import shapely
from pycocotools import mask as coco_mask

SIZE = 60
BOW_TIE = [(10, 10), (50, 50), (50, 10), (10, 50)]
ANGLES = [math.radians(90 + 144 * corner) for corner in range(5)]
STAR = [(30 + 25 * math.cos(angle), 30 - 25 * math.sin(angle)) for angle in ANGLES]


def pixels(points):
    flat = [[float(value) for point in points for value in point]]
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, SIZE, SIZE)))


def painted(shape):
    """The mask of a valid shape without holes: the union of its parts."""
    parts = [pixels(part.exterior.coords[:-1]) for part in shapely.get_parts(shape)]
    return np.maximum.reduce(parts)


def iou(a, b):
    return float((a & b).sum() / (a | b).sum())


for package in ["pycocotools", "shapely"]:
    print(package, importlib.metadata.version(package))
print("GEOS", shapely.geos_version_string)

seen = {}
print("\n          pycocotools   Polygon.area   buffer(0)   make_valid")
for name, points in [("bow tie", BOW_TIE), ("star", STAR)]:
    shape = shapely.Polygon(points)
    assert not shape.is_valid
    areas = shape.area, shape.buffer(0).area, shapely.make_valid(shape).area
    seen[name] = [int(pixels(points).sum()), *(round(area) for area in areas)]
    print("%-9s %11d %14d %11d %12d" % (name, *seen[name]))

shape = shapely.Polygon(BOW_TIE)
by_buffer = iou(pixels(BOW_TIE), painted(shape.buffer(0)))
by_valid = iou(pixels(BOW_TIE), painted(shapely.make_valid(shape)))
print(f"\nIoU of the bow tie with itself, repaired by buffer(0):  {by_buffer:.2f}")
print(f"IoU of the bow tie with itself, repaired by make_valid: {by_valid:.2f}")
try:
    shape.intersection(shapely.box(0, 0, SIZE, SIZE))
    error = "nothing is raised"
except shapely.GEOSException as raised:
    error = f"{type(raised).__name__}: {raised}"
print("intersection with the whole image, not repaired:", error)

assert seen == {"bow tie": [800, 0, 400, 800], "star": [484, 918, 702, 485]}, seen
assert round(by_buffer, 1) == 0.5 and round(by_valid, 2) == 1, (by_buffer, by_valid)
assert error.startswith("GEOSException"), error
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "the behaviour has changed" >&2; exit 1; }
