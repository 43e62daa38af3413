"""The language model (Section 3.1, "LLM"): any causal one of transformers, as its folder's `config.json` says.

    build_llm(32993, weights="checkpoints/instructblip-vicuna-7b")    its LLaMA, with as many more rows as tokens
    build_llm(152662, architecture="checkpoints/qwen3")               the same layers, which start at random
    build_llm(1600, hidden_size=128, num_layers=3)                    a LLaMA of these sizes: the tiny size

What follows asks any of them the same few things: input and output embeddings, the decoder between them, its config.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.initialization import no_init_weights

from vista.data import InputError
from vista.models.config_check import check_given
from vista.models.config_file import described
from vista.models.initialize import initialize
from vista.models.weights import load_part

PREFIX = "language_model."  # of its weights in a composite folder


def build_llm(
    vocab_size: int = 0,
    hidden_size: int | None = None,
    num_layers: int | None = None,
    num_heads: int | None = None,
    mlp_size: int | None = None,
    max_positions: int | None = None,
    tie_embeddings: bool | None = None,
    rms_norm_eps: float | None = None,
    rope_theta: float | None = None,
    weights: Path | None = None,
    architecture: Path | None = None,
) -> PreTrainedModel:
    """Build the language model.

    Where a `config.json` describes it, that file decides: a size that is given too must be the same. Where there is
    none, it is a LLaMA of the sizes that are given, the tiny size for those that are not.

    Args:
        vocab_size: entries of the tokenizer, filled in by the command line; a table may have more rows.
        hidden_size: width D of the tokens; without a folder 128.
        num_layers: transformer layers; without a folder 3.
        num_heads: attention heads; without a folder 4.
        mlp_size: width of the hidden layer of each MLP; without a folder 384.
        max_positions: longest sequence in tokens, at most the folder's; without a folder 2048.
        tie_embeddings: whether input and output embeddings are one table; without a folder they are.
        rms_norm_eps: added to the mean square of a token before its root; without a folder 1e-6.
        rope_theta: base of the rotary frequencies; without a folder 10000.
        weights: safetensors file or folder to start from; none: random.
        architecture: folder whose `config.json` describes the model, in the place of the one beside the weights; it
            needs no weights.

    Raises:
        InputError: what `config.json` says is not what is given, or describes no causal language model.
        MissingFileError: `architecture` holds no `config.json`, or `weights` no weights.
    """
    given = {
        "hidden_size": hidden_size, "num_layers": num_layers, "num_heads": num_heads, "mlp_size": mlp_size,
        "max_positions": max_positions, "tie_embeddings": tie_embeddings, "rms_norm_eps": rms_norm_eps,
        "rope_theta": rope_theta,
    }  # fmt: skip
    sizes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    config = _described(weights, architecture, sizes) or _llama(vocab_size, **sizes)
    config.vocab_size = max(getattr(config, "vocab_size", 0), vocab_size)
    # A row that is told to pad is never trained, and where another token has the same id, that is not either.
    config.pad_token_id = None
    dtype = torch.get_default_dtype()  # not the file's: weights that are trained are float32
    if weights is None:
        llm = AutoModelForCausalLM.from_config(config, dtype=dtype)
        initialize(llm, config.hidden_size)
    else:
        with no_init_weights():  # random numbers for seven billion weights take minutes
            llm = AutoModelForCausalLM.from_config(config, dtype=dtype)
        llm.tie_weights()
        load_part(llm, weights, PREFIX)
    llm.pretrained = weights is not None
    return llm


def logit_steps(config: Any) -> list[Callable[[Tensor], Tensor]]:
    """What a language model's own forward pass does with the logits of its head; nothing, for most."""
    steps: list[Callable[[Tensor], Tensor]] = []
    # Each kind has its own name for it.
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma 2
        steps.append(lambda logits: cap * (logits / cap).tanh())
    if (factor := getattr(config, "logit_scale", None)) is not None:  # Cohere
        steps.append(lambda logits: logits * factor)
    if (divisor := getattr(config, "logits_scaling", None)) is not None:  # Granite
        steps.append(lambda logits: logits / divisor)
    return steps


def _described(
    weights: Path | None, architecture: Path | None, sizes: dict[str, Any]
) -> PreTrainedConfig | None:
    """What the folder says, where it says something."""
    folder, config = architecture or weights, described(weights, architecture, PREFIX)
    if config is None:
        return None
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        kind = config.model_type
        raise InputError(
            f"{folder} is of a {kind}, of which transformers has no causal language model"
        )
    check_given(config, sizes, folder, "llm")
    if longest := sizes.get("max_positions"):
        config.max_position_embeddings = longest
    return config


def _llama(
    vocab_size: int,
    hidden_size: int = 128,
    num_layers: int = 3,
    num_heads: int = 4,
    mlp_size: int = 384,
    max_positions: int = 2048,
    tie_embeddings: bool = True,
    rms_norm_eps: float = 1e-6,
    rope_theta: float = 10000.0,
) -> LlamaConfig:
    """LLaMA, of which Vicuna is a fine-tuned copy."""
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=mlp_size,
        max_position_embeddings=max_positions,
        tie_word_embeddings=tie_embeddings,
        rms_norm_eps=rms_norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": rope_theta},
        bos_token_id=1,
        eos_token_id=2,
    )
