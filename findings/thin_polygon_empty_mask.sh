#!/usr/bin/env bash
# pycocotools 2.0.11: a polygon that is thinner than a pixel can decode to an empty mask, and then
#   no answer is right.
#
# Expected: in COCO's format a polygon is a list of real coordinates. One of area 20 gives some
#   pixels, and an answer equal to the truth scores 1.
# Seen: an upright bar 0.4 wide and 50 high (area 20) gives 0 pixels, moved by a tenth of a pixel
#   50. A bar 0.9 wide (area 45) can be empty as well: no centre of a pixel lies in it. The IoU of
#   an empty mask with itself is 0, so COCOeval finds no answer right: neither the column of pixels
#   that holds the bar nor the true polygon itself. The box of the same object is found: AP is 1 for
#   boxes and 0 for masks.
# Why it matters: poles, cables and objects far away can be annotated so. Such an object counts in
#   recall and mean IoU and cannot be won by any model; the annotation's own "area" field does not
#   tell. Count the empty masks of the truth before comparing scores.
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
    numpy==2.2.6 pycocotools==2.0.11 >"$folder/pip.log" 2>&1 ||
    { cat "$folder/pip.log" >&2; missing "the pinned packages"; }

cat >"$folder/show.py" <<'PY'
import contextlib
import importlib.metadata
import io

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIZE, TOP, BOTTOM = 60, 5, 55


def bar(left, right):
    return [left, TOP, right, TOP, right, BOTTOM, left, BOTTOM]


def rle(polygon):
    return coco_mask.merge(coco_mask.frPyObjects([polygon], SIZE, SIZE))


def average_precision(left, right, kind, answer):
    """AP of one answer, for a truth of one bar."""
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": 1, "height": SIZE, "width": SIZE}],
        "categories": [{"id": 1, "name": "pole"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "iscrowd": 0,
                "area": (right - left) * (BOTTOM - TOP),
                "bbox": [left, TOP, right - left, BOTTOM - TOP],
                "segmentation": [bar(left, right)],
            }
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        given = truth.loadRes([{"image_id": 1, "category_id": 1, "score": 1.0, **answer}])
        evaluation = COCOeval(truth, given, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 3)


print("pycocotools", importlib.metadata.version("pycocotools"))
pixels = {}
for left, right in [(10.05, 10.45), (10.15, 10.55), (10.55, 11.45)]:
    pixels[left, right] = int(coco_mask.decode(rle(bar(left, right))).sum())
    area = (right - left) * (BOTTOM - TOP)
    print(f"x from {left:5} to {right:5}: area {area:4.1f}, {pixels[left, right]:2} pixels")
empty = rle(bar(10.05, 10.45))
itself = float(coco_mask.iou([empty], [empty], [0])[0, 0])
print("IoU of the first with itself:", itself)

column = np.zeros((SIZE, SIZE), np.uint8, order="F")
column[TOP:BOTTOM, 10] = 1
scores = {}
print("\nAP                      box   true polygon   column of pixels")
for left, right in [(10.05, 10.45), (10.15, 10.55)]:
    box = {"bbox": [left, TOP, right - left, BOTTOM - TOP]}
    scores[left] = (
        average_precision(left, right, "bbox", box),
        average_precision(left, right, "segm", {"segmentation": rle(bar(left, right))}),
        average_precision(left, right, "segm", {"segmentation": coco_mask.encode(column)}),
    )
    print(f"x from {left} to {right}  %.1f   %.1f            %.1f" % scores[left])

assert list(pixels.values()) == [0, 50, 0], pixels
assert itself == 0, itself
assert scores == {10.05: (1, 0, 0), 10.15: (1, 1, 1)}, scores
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "the behaviour has changed" >&2; exit 1; }
