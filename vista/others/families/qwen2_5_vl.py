"""Qwen2.5-VL: JSON in pixels of the image as the processor resizes it.

[{"bbox_2d": [102, 248, 391, 538], "label": "the cat"}]

Width and height are resized by two factors: 2000 x 100 becomes 1988 x 112. https://github.com/QwenLM/Qwen2.5-VL
"""

from vista.data import Size
from vista.others.family import Point, clamped
from vista.others.json_places import JsonFamily

# Of its checkpoints, where the processor is not known.
PATCH, MERGE, LEAST, MOST = 14, 2, 56 * 56, 28 * 28 * 16384


class Qwen25VL(JsonFamily):
    """Numbers are pixels of the resized image."""

    name = "Qwen2.5-VL"
    model_types = ("qwen2_5_vl",)
    scale = "Coordinates are pixels of the image."

    def resized(self, size: Size) -> Size:
        """(h, w) that the processor makes of (H, W)."""
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

        images = getattr(self.processor, "image_processor", None)
        factor = getattr(images, "patch_size", PATCH) * getattr(images, "merge_size", MERGE)
        area = getattr(images, "size", {"shortest_edge": LEAST, "longest_edge": MOST})
        height, width = smart_resize(*size, factor, area["shortest_edge"], area["longest_edge"])
        return height, width

    def limits(self, size: Size) -> Point:
        """The last edges: the far one is written too by models that count edges."""
        height, width = self.resized(size)
        return width, height

    def to_grid(self, point: Point, size: Size) -> Point:
        """Whole pixels 0..w - 1 and 0..h - 1 of the resized image."""
        height, width = self.resized(size)
        x, y = point[0] * width / size[1], point[1] * height / size[0]
        return clamped(round(x), width - 1), clamped(round(y), height - 1)

    def from_grid(self, point: Point, size: Size) -> Point:
        """By one factor for x and another for y."""
        height, width = self.resized(size)
        return point[0] * size[1] / width, point[1] * size[0] / height
