"""Qwen3-VL and GLM-4V: JSON in parts per 1000; numbers a little beyond occur and are clamped.

[{"bbox_2d": [104, 250, 396, 541], "label": "the cat"}]         GLM writes it within <|begin_of_box|>..<|end_of_box|>

https://github.com/QwenLM/Qwen3-VL
"""

import math
from collections.abc import Sequence

from vista.data import Size
from vista.others.family import Point, clamped
from vista.others.json_places import JsonFamily


class Qwen3VL(JsonFamily):
    """Parts per 1000."""

    name = "Qwen3-VL"
    model_types = ("qwen3_vl", "qwen3_vl_moe", "glm4v", "glm4v_moe")

    def points_of(self, numbers: Sequence[float], size: Size) -> list[Point] | None:
        """As written, but clamped to the image."""
        if not all(map(math.isfinite, numbers)):
            return None
        return super().points_of([clamped(number, 1000) for number in numbers], size)
