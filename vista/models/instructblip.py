"""Our parts as the InstructBLIP of transformers: its settings, and the processor of its images and texts.

    InstructBlipForConditionalGeneration.from_pretrained(folder), AutoProcessor.from_pretrained(folder)

Names of weights are the same already (`vista/models/vistallm.py`). Its processor knows no brackets of numbers: in a
region it cuts a number into digits, which is why answers are asked for by our own tokenizer.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    BlipImageProcessorPil,
    InstructBlipConfig,
    InstructBlipProcessor,
    PreTrainedTokenizerFast,
)

from vista.models.pixels import Pixels
from vista.models.vistallm import VistaLLM

ENCODER = "instructblip_vision_model"


def is_instructblip(model: VistaLLM) -> bool:
    """Whether transformers' InstructBLIP can hold the parts; its language model may be any causal one."""
    config: Any = model.vision_model.config
    return bool(config.model_type == ENCODER)


def composite_config(model: VistaLLM, dtype: torch.dtype) -> InstructBlipConfig:
    """The settings of all parts.

    Args:
        model: its parts may be without memory.
        dtype: of the numbers in the file.
    """
    parts: Any = model
    return InstructBlipConfig(
        vision_config=parts.vision_model.config.to_dict(),
        qformer_config=model.qformer.config.to_dict(),
        text_config=parts.language_model.config.to_dict(),
        num_query_tokens=model.qformer.num_queries,
        image_token_index=model.image_token_id,
        architectures=["InstructBlipForConditionalGeneration"],
        dtype=dtype,
    )


def instruction_tokenizer(
    fast: PreTrainedTokenizerFast, own: str | None
) -> PreTrainedTokenizerFast:
    """The QFormer's tokenizer as one of transformers.

    Args:
        fast: of the language model, whose ids the QFormer reads where it has no tokenizer of its own.
        own: that of its own as JSON, see `vista.tokens.instructions.InstructionTokenizer.to_json`.
    """
    if own is None:
        fast = copy.deepcopy(fast)
        # Nothing is put before an instruction; an empty template is the only one that is saved as none.
        fast.backend_tokenizer.post_processor = None
        return fast
    backend = Tokenizer.from_str(own)
    known = backend.get_vocab()
    pad = next((token for token in ("[PAD]", "<pad>", "<unk>") if token in known), None)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token=pad)


def write_processor(
    model: VistaLLM,
    fast: PreTrainedTokenizerFast,
    instructions: PreTrainedTokenizerFast,
    pixels: Pixels,
    folder: Path,
) -> None:
    """Write what `AutoProcessor` reads.

    Args:
        model: gives the number of queries.
        fast: of the language model.
        instructions: see `instruction_tokenizer`.
        pixels: how images become tensors.
        folder: where it goes.
    """
    images = BlipImageProcessorPil(
        size={"height": pixels.size, "width": pixels.size},
        image_mean=list(pixels.mean),
        image_std=list(pixels.std),
    )
    processor = InstructBlipProcessor(
        images,
        copy.deepcopy(fast),  # a mark becomes a special token in it
        instructions,
        num_query_tokens=model.qformer.num_queries,
    )
    processor.save_pretrained(folder)
