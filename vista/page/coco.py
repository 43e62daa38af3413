"""The regions of an answer as COCO JSON, in pixels of the pictures: `pycocotools.coco.COCO` reads it.

Masks are compressed run lengths of the very pixels that are scored; a point is a keypoint.
"""

from collections.abc import Sequence

from pycocotools import mask as coco_mask

from vista.codec.codec import Codec
from vista.data import Size
from vista.page.shapes import Shape
from vista.rle import encode_mask

Record = dict[str, object]


def coco_of(
    text: str, shapes: Sequence[Shape], names: Sequence[str], sizes: Sequence[Size], codec: Codec
) -> Record:
    """A COCO file.

    Args:
        text: of the answer.
        shapes: of the answer, see `vista.page.shapes.shapes_of`.
        names: of the pictures' files.
        sizes: (H, W) of each.
        codec: has written the numbers.
    """
    images = []
    for number, (name, (height, width)) in enumerate(zip(names, sizes, strict=True), 1):
        images.append({"id": number, "file_name": name, "height": height, "width": width})
    annotations: list[Record] = []
    for shape in shapes:
        if shape["kind"] in ("open", "empty"):
            continue
        bracket = text[shape["start"] : shape["end"]]
        region = _region(shape["kind"], bracket, sizes[shape["image"]], codec)
        own = {"id": len(annotations) + 1, "image_id": shape["image"] + 1, "category_id": 1}
        annotations.append(own | {"iscrowd": 0} | region)
    categories = [{"id": 1, "name": "answer", "keypoints": ["point"], "skeleton": []}]
    return {"images": images, "annotations": annotations, "categories": categories}


def _region(kind: str, bracket: str, size: Size, codec: Codec) -> Record:
    if kind == "mask":
        masks, _ = codec.parse_masks(bracket, size)
        segmentation = encode_mask(masks[0])
        area, bbox = coco_mask.area(segmentation), coco_mask.toBbox(segmentation)
        return {"segmentation": segmentation, "area": float(area), "bbox": bbox.tolist()}
    if kind == "point":
        ((x, y),), _ = codec.parse_points(bracket, size)
        return {"keypoints": [x, y, 2], "num_keypoints": 1, "bbox": [x, y, 0.0, 0.0], "area": 0.0}
    ((x0, y0, x1, y1),), _ = codec.parse_boxes(bracket, size)
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
