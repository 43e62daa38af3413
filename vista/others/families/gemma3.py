"""Gemma 3: no form of its own for places is known to us; JSON in parts per 1000 is asked for, and what comes is scored.

[{"bbox_2d": [104, 250, 396, 541], "label": "the cat"}]

The image is squashed into a square, so each side has its own factor. https://ai.google.dev/gemma/docs
"""

from vista.others.json_places import JsonFamily


class Gemma3(JsonFamily):
    """Parts per 1000."""

    name = "Gemma 3"
    model_types = ("gemma3",)
