"""From examples to one batch of tensors.

    Example -> encode_example -> Sample (token ids, labels, instruction) -> collate -> batch of `VistaLLM.forward`

The prompt is never learned, every answer is. An image that several samples of a batch use is in `pixel_values` once.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vista.data import Size
from vista.tokens.batch_types import Batch, Example
from vista.tokens.chat import chat_of
from vista.tokens.tokenizer import Tokenizer

IGNORE = -100  # label of a token that is not learned
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
)


@dataclass(slots=True)
class Sample:
    """One example in token ids.

    Attributes:
        images: keys of its images, in the order of the `<image>` marks.
        input_ids: the conversation, with `<image>` once per image.
        labels: `input_ids` where learned, else `IGNORE`.
        instruction_ids: what the QFormer reads, the turn that holds `<image>`.
        sizes: (H, W) of each image by which regions were written or will be read; none where there are no regions.
    """

    images: tuple[str, ...]
    input_ids: list[int]
    labels: list[int]
    instruction_ids: list[int]
    sizes: tuple[Size, ...] = ()


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
        template: `plain` (prompt, answer), `vicuna_v1` (a sentence, `USER:`, `ASSISTANT:`), `own` (`chat.py`).
        answer: whether the last answer is written; without it the sample is a question.
        max_instruction: positions of the QFormer; a longer instruction is cut, with one warning.

    Raises:
        ValueError: the prompts have not one `<image>` for each image.
    """
    own = chat_of(tokenizer) if template == "own" else None  # it writes the begin token by itself
    input_ids = list(tokenizer.begin) if own is None else []
    labels, last = [IGNORE] * len(input_ids), len(example.turns) - 1
    for turn, (prompt, target) in enumerate(example.turns):
        if template == "vicuna_v1":
            system = "" if turn else VICUNA_SYSTEM
            prompt = f"{system}USER: {prompt} ASSISTANT:"
        prompt_ids = own.encode(prompt, turn, last + 1) if own else tokenizer.encode(prompt)
        # A prompt is never learned, an answer is, its end included.
        input_ids += prompt_ids
        labels += [IGNORE] * len(prompt_ids)
        if answer or turn < last:
            answer_ids = [*tokenizer.encode(target), tokenizer.eos_id]
            input_ids += answer_ids
            labels += answer_ids
    marks = input_ids.count(tokenizer.image_id)
    if marks != len(example.images):
        raise ValueError(f"{len(example.images)} images but {marks} <image> marks in a prompt")
    instruction_ids = tokenizer.encode_instruction(_instruction(example))
    if len(instruction_ids) > max_instruction:
        warnings.warn(
            f"the QFormer reads only the first {max_instruction} tokens of an instruction",
            stacklevel=2,
        )
        end = instruction_ids[-1]  # BERT's last token ends the text
        instruction_ids = [*instruction_ids[: max_instruction - 1], end]
    return Sample(example.images, input_ids, labels, instruction_ids)


def _instruction(example: Example) -> str:
    """The prompt that holds `<image>`, else the first one, without the marks."""
    prompts = [prompt for prompt, _ in example.turns]
    instruction = next((prompt for prompt in prompts if "<image>" in prompt), prompts[0])
    return " ".join(instruction.replace("<image>", " ").split())


def expand_images(sample: Sample, image_id: int, num_queries: int) -> tuple[list[int], list[int]]:
    """Token ids and labels with every `<image>` written `num_queries` times."""
    input_ids: list[int] = []
    labels: list[int] = []
    for token, label in zip(sample.input_ids, sample.labels, strict=True):
        # The model puts one visual token in the place of each copy.
        repeats = num_queries if token == image_id else 1
        input_ids += [token] * repeats
        labels += [label] * repeats
    return input_ids, labels


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
        images: (3, S, S) of every key that a sample names.
        tokenizer: gives the ids of `<image>` and padding.
        num_queries: visual tokens L per image.
        pad_left: for generation; training pads on the right.
    """
    rows, labels, instructions = [], [], []
    index: dict[str, int] = {}  # of each image, which is encoded once however many samples use it
    image_index, sample_index = [], []
    for i, sample in enumerate(samples):
        row, row_labels = expand_images(sample, tokenizer.image_id, num_queries)
        rows.append(row)
        labels.append(row_labels)
        instructions.append(sample.instruction_ids)
        for key in sample.images:
            image_index.append(index.setdefault(key, len(index)))
            sample_index.append(i)
    return {
        "pixel_values": torch.stack([images[key] for key in index]),
        "image_index": torch.tensor(image_index),
        "sample_index": torch.tensor(sample_index),
        "input_ids": _pad(rows, tokenizer.pad_id, pad_left),
        "attention_mask": _pad([[1] * len(row) for row in rows], 0, pad_left),
        "labels": _pad(labels, IGNORE, pad_left),
        "instruction_ids": _pad(instructions, 0, False),  # any id that every QFormer has
        "instruction_mask": _pad([[1] * len(row) for row in instructions], 0, False),
    }


def _pad(rows: Sequence[list[int]], value: int, left: bool) -> Tensor:
    """Rows filled up to the longest one, int (B, T)."""
    width = max(map(len, rows))
    padded = []
    for row in rows:
        padding = [value] * (width - len(row))
        padded.append(padding + row if left else row + padding)
    return torch.tensor(padded, dtype=torch.long)  # rows may all be empty
