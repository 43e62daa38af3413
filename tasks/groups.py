"""Groups of images that show one category, made of COCO's instances: what CoSeg is trained on.

    four images with dogs -> one annotation with four images, the dogs of each image being one mask

An image serves each category that it shows.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from vista.data import Annotation

GROUP_SIZE = 4


def group_by_category(
    annotations: Sequence[Annotation], size: int = GROUP_SIZE, single: bool = False
) -> list[Annotation]:
    """Groups of images of one category, in the order given.

    Args:
        annotations: one per image, with one segmentation per object and `extra["categories"]`.
        size: images in a group; what is left over of a category is not used.
        single: only images with a single object of the category.

    Returns:
        annotations as the reader `coseg` gives them: one segmentation per image, `extra["class"]` and `["count"]`. An
        image with a crowd of the category is left out: its objects are not drawn one by one.
    """
    members: dict[str, list[tuple[Annotation, Any]]] = defaultdict(list)
    for annotation in annotations:
        objects: dict[str, list[Any]] = defaultdict(list)
        for category, segmentation in zip(
            annotation.extra["categories"], annotation.segmentations, strict=True
        ):
            objects[category].append(segmentation)
        for category, found in objects.items():
            drawn = all(isinstance(segmentation, list) for segmentation in found)
            if drawn and not (single and len(found) > 1):
                members[category].append(
                    (annotation, [polygon for polygons in found for polygon in polygons])
                )
    return [
        _group(category, start // size, found[start : start + size])
        for category, found in members.items()
        for start in range(0, len(found) - size + 1, size)
    ]


def _group(category: str, number: int, members: Sequence[tuple[Annotation, Any]]) -> Annotation:
    return Annotation(
        id=f"{category}_{number}",
        images=tuple(image for annotation, _ in members for image in annotation.images),
        sizes=tuple(size for annotation, _ in members for size in annotation.sizes),
        segmentations=tuple(polygons for _, polygons in members),
        extra={"class": category, "count": [True] * len(members)},
    )
