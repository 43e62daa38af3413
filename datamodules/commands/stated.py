"""How long the samples of the paper's mixture are, for a plan that is made where its files are not.

STATED["res_refcoco"]      {"samples": 120624, "samples_of_an_image": 7.1, "images": 1, "prompt": [...], ...}
"""

import json
from pathlib import Path
from typing import TypedDict

FILE = Path(__file__).with_name("mixture_lengths.json")


class StatedLengths(TypedDict):
    """Of one training source, as `benchmarks/mixture_lengths.py` has measured or looked them up.

    Attributes:
        samples: of the training split.
        samples_of_an_image: how many share one.
        images: of a sample.
        prompt: deciles of the pieces in a prompt, conversation form and visual tokens not included.
        answer: deciles of the pieces of words in an answer.
        regions: deciles of the regions in an answer.
        region: `box` or `mask`.
    """

    samples: int
    samples_of_an_image: float
    images: int
    prompt: list[int]
    answer: list[int]
    regions: list[int]
    region: str


STATED: dict[str, StatedLengths] = json.loads(FILE.read_text())
