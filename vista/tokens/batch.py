"""From examples to one batch of tensors.

    Example -> encode_example -> Sample (token ids, labels, instruction) -> collate -> batch of `VistaLLM.forward`

The prompt is never learned, every answer is. An image that several samples of a batch use is in `pixel_values` once.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from vista.data import Annotation, Example
from vista.tokens.tokenizer import Tokenizer

IGNORE = -100  # label of a token that is not learned
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
)


class Batch(TypedDict):
    """What `VistaLLM.forward` reads: B samples of T tokens, I different images, J uses of an image by a sample."""

    pixel_values: Tensor  # float (I, 3, S, S)
    image_index: Tensor  # int (J,), the image of each use
    sample_index: Tensor  # int (J,), the sample of each use
    input_ids: Tensor  # int (B, T), with `<image>` as often as an image has visual tokens
    attention_mask: Tensor  # int (B, T), 0 at padding
    labels: Tensor  # int (B, T), `IGNORE` where nothing is learned
    instruction_ids: Tensor  # int (B, Q), what the QFormer reads
    instruction_mask: Tensor  # int (B, Q)


class TrainingBatch(Batch):
    """A batch to learn from."""

    source_index: Tensor  # int (B,), counts the training sources
    usual_length: Tensor  # float (B,), mean number of learned tokens of the source's samples
    ids: list[str]  # `<source>:<annotation>` of each sample
    unusable: int  # samples of which nothing is learned
    problems: list[str]  # a sentence for each file that could not be read


class EvaluationBatch(Batch):
    """A batch of questions of one source."""

    source: str  # its name
    annotations: list[Annotation]  # what is asked about
    readable: list[bool]  # whether all images of a question could be read
    problems: list[str]  # a sentence for each file that could not be read


@dataclass(slots=True)
class Sample:
    """One example in token ids.

    Attributes:
        images: keys of its images, in the order of the `<image>` marks.
        input_ids: the conversation, with `<image>` once per image.
        labels: `input_ids` where learned, else `IGNORE`.
        instruction_ids: what the QFormer reads, the turn that holds `<image>`.
    """

    images: tuple[str, ...]
    input_ids: list[int]
    labels: list[int]
    instruction_ids: list[int]

    @property
    def answer_length(self) -> int:
        """Number of tokens that are learned."""
        return sum(label != IGNORE for label in self.labels)


def encode_example(
    example: Example,
    tokenizer: Tokenizer,
    template: str = "plain",
    answer: bool = True,
    max_instruction: int = 512,
) -> Sample:
    """Write an example as a conversation.

    Args:
        example: images and turns.
        tokenizer: of the LLM, and of the QFormer.
        template: `plain` (prompt, answer) or `vicuna_v1` (Vicuna v1.1's system sentence, `USER:` and `ASSISTANT:`).
        answer: whether the last answer is written; without it the model is asked.
        max_instruction: positions of the QFormer; a longer instruction is cut, with one warning.
    """
    input_ids, labels = [tokenizer.bos_id], [IGNORE]
    for turn, (prompt, target) in enumerate(example.turns):
        if template == "vicuna_v1":
            prompt = f"{'' if turn else VICUNA_SYSTEM}USER: {prompt} ASSISTANT:"
        prompt_ids = tokenizer.encode(prompt)
        input_ids += prompt_ids
        labels += [IGNORE] * len(prompt_ids)
        if answer or turn < len(example.turns) - 1:
            answer_ids = [*tokenizer.encode(target), tokenizer.eos_id]
            input_ids += answer_ids
            labels += answer_ids
    instruction = next((p for p, _ in example.turns if "<image>" in p), example.turns[0][0])
    instruction_ids = tokenizer.encode_instruction(
        " ".join(instruction.replace("<image>", " ").split())
    )
    if len(instruction_ids) > max_instruction:
        warnings.warn(
            f"the QFormer reads only the first {max_instruction} tokens of an instruction",
            stacklevel=2,
        )
        instruction_ids = [
            *instruction_ids[: max_instruction - 1],
            instruction_ids[-1],
        ]  # BERT's last ends the text
    return Sample(example.images, input_ids, labels, instruction_ids)


def expand_images(sample: Sample, image_id: int, num_queries: int) -> tuple[list[int], list[int]]:
    """Token ids and labels with every `<image>` written `num_queries` times.

    Raises:
        ValueError: the sample has not one mark for each image.
    """
    if sample.input_ids.count(image_id) != len(sample.images):
        raise ValueError(
            f"{len(sample.images)} images but {sample.input_ids.count(image_id)} <image> marks in a prompt"
        )
    repeats = [num_queries if token == image_id else 1 for token in sample.input_ids]
    expand = [
        (t, label, n) for t, label, n in zip(sample.input_ids, sample.labels, repeats, strict=True)
    ]
    return [t for t, _, n in expand for _ in range(n)], [
        label for _, label, n in expand for _ in range(n)
    ]


def collate(
    samples: Sequence[Sample],
    images: dict[str, Tensor],
    tokenizer: Tokenizer,
    num_queries: int,
    pad_left: bool = False,
) -> Batch:
    """Pad samples to one batch.

    Args:
        samples: B of them.
        images: float (3, S, S) of every key that a sample names.
        tokenizer: gives the ids of `<image>` and padding.
        num_queries: visual tokens L per image.
        pad_left: for generation; training pads on the right.

    """
    keys = list(dict.fromkeys(key for sample in samples for key in sample.images))
    rows, labels = zip(
        *(expand_images(s, tokenizer.image_id, num_queries) for s in samples), strict=True
    )
    instructions = [s.instruction_ids for s in samples]
    return {
        "pixel_values": torch.stack([images[key] for key in keys]),
        "image_index": torch.tensor([keys.index(key) for s in samples for key in s.images]),
        "sample_index": torch.tensor([i for i, s in enumerate(samples) for _ in s.images]),
        "input_ids": _pad(rows, tokenizer.pad_id, pad_left),
        "attention_mask": _pad([[1] * len(row) for row in rows], 0, pad_left),
        "labels": _pad(labels, IGNORE, pad_left),
        "instruction_ids": _pad(instructions, 0, False),  # any id that every QFormer has
        "instruction_mask": _pad([[1] * len(row) for row in instructions], 0, False),
    }


def _pad(rows: Sequence[list[int]], value: int, left: bool) -> Tensor:
    width = max(len(row) for row in rows)
    fill = [[value] * (width - len(row)) for row in rows]
    padded = [f + row if left else row + f for row, f in zip(rows, fill, strict=True)]
    return torch.tensor(padded, dtype=torch.long)  # rows may all be empty
