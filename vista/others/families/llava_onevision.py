"""LLaVA-OneVision: no form of its own for places is known to us; JSON in parts per 1000 is asked for.

[{"bbox_2d": [104, 250, 396, 541], "label": "the cat"}]

Numbers are of the whole image, whatever its tiles. https://llava-vl.github.io/blog/2024-08-05-llava-onevision
"""

from vista.others.json_places import JsonFamily


class LlavaOneVision(JsonFamily):
    """Parts per 1000."""

    name = "LLaVA-OneVision"
    model_types = ("llava_onevision",)
