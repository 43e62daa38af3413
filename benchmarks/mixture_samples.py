"""Samples of random tokens for train.py, as long as those of the paper's stage 1 and sharing images as they do.

drawn = draw(32, questions_per_image=4, rng)                  # lengths, from datamodules/commands/mixture_lengths.json
batch = batch_of(write(drawn, "paper", seed=0), queries=32, side=224, device="cpu")
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.commands.stated import STATED
from vista.tokens.batch import Sample, collate

LENGTHS = {name: source for name, source in STATED.items() if source["images"] == 1}  # of stage 1
IMAGE, PAD, VOCABULARY = 3, 0, 4000
NUMBERS = {"box": 4, "mask": 64}  # of a region
LAYOUTS = ("paper", "compact")


class Lengths(NamedTuple):
    """Of one sample: its image, and tokens of the prompt and, by layout, of the answer."""

    image: str
    prompt: int
    answer: dict[str, int]


def region_tokens(numbers: int) -> dict[str, int]:
    """Tokens of a region by layout: one a number; brackets, and in the paper's layout ", " between numbers."""
    compact = numbers + 2
    return {"paper": compact + 2 * (numbers - 1), "compact": compact}


def draw(count: int, questions_per_image: int, rng: np.random.Generator) -> list[Lengths]:
    """Samples of the mixture, in groups that share an image as `datamodules.order` makes them."""
    group_sizes, weights = {}, []
    for name, source in LENGTHS.items():
        most = min(questions_per_image, round(source["samples_of_an_image"]))
        group_sizes[name] = max(1, most)
        weights.append(source["samples"] / group_sizes[name])
    shares = np.array(weights) / np.sum(weights)
    lengths: list[Lengths] = []
    while len(lengths) < count:
        name = str(rng.choice(list(LENGTHS), p=shares))
        image = f"image {len(lengths)}"
        for _ in range(min(group_sizes[name], count - len(lengths))):
            lengths.append(_draw_one(LENGTHS[name], image, rng))
    return lengths


def _draw_one(source: dict, image: str, rng: np.random.Generator) -> Lengths:
    words, regions = int(rng.choice(source["answer"])), int(rng.choice(source["regions"]))
    by_layout = region_tokens(NUMBERS[source["region"]])
    answer = {layout: words + regions * tokens + 1 for layout, tokens in by_layout.items()}
    return Lengths(image, int(rng.choice(source["prompt"])), answer)


def write(lengths: list[Lengths], layout: str, seed: int) -> list[Sample]:
    """Samples of random tokens with these lengths."""
    rng = np.random.default_rng(seed)
    samples = []
    for each in lengths:
        prompt = rng.integers(4, VOCABULARY, each.prompt).tolist()
        answer = rng.integers(4, VOCABULARY, each.answer[layout]).tolist()
        labels = [-100] * (len(prompt) + 2) + answer  # 2: the token that begins, and the image's
        samples.append(
            Sample((f"{each.image} of {seed}",), [1, IMAGE, *prompt, *answer], labels, prompt)
        )
    return samples


class Padding:
    """What `collate` asks of a tokenizer."""

    image_id, pad_id = IMAGE, PAD


def batch_of(samples: list[Sample], queries: int, side: int, device: str) -> dict[str, Tensor]:
    """A batch on the device; an image's pixels depend on its name alone."""
    images = {}
    for sample in samples:
        for name in sample.images:
            rng = torch.Generator().manual_seed(hash(name) % 997)
            images[name] = torch.randn(3, side, side, generator=rng)
    batch = collate(samples, images, Padding(), queries)  # type: ignore[arg-type]
    return {key: value.to(device) for key, value in batch.items()}
