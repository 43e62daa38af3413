"""Language models in GGUF, the one-file format of llama.cpp, read by transformers (extra `gguf`).

All of the model is read at once, as float32 whatever the file holds.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vista.data import InputError


def gguf_file(path: Path) -> Path | None:
    """The GGUF that a path means: the file, or the one in a folder without other weights; None: it means none."""
    if path.suffix == ".gguf" and path.is_file():
        return path
    found = sorted(path.glob("*.gguf")) if path.is_dir() else []
    others = [*path.glob("*.safetensors"), *path.glob("pytorch_model*.bin")] if found else []
    if others or not found:
        return None
    if len(found) > 1:
        raise InputError(f"{path} has {len(found)} GGUF files; name one, such as {found[0]}")
    return found[0]


def read_gguf(file: Path) -> dict[str, Tensor]:
    """All weights, by the names that transformers gives them.

    Raises:
        InputError: the packages are not there, or the file is damaged or of a model that transformers does not know.
    """
    from transformers import AutoModelForCausalLM, GgufConfig

    # Without `dequantize` plain float32 weights count as quantized, and the model can be neither saved nor converted.
    quantization = GgufConfig(dequantize=True)
    model = _asked_for(
        AutoModelForCausalLM, file, dtype=torch.float32, quantization_config=quantization
    )
    tensors: dict[str, Tensor] = model.state_dict()
    return tensors


@cache  # transformers parses the whole vocabulary for it, which takes half a minute
def config_of_gguf(file: Path) -> str:
    """What the head of a GGUF says of its model, as the text of a `config.json`.

    Raises:
        InputError: as `read_gguf`.
    """
    from transformers import AutoConfig

    return json.dumps(_asked_for(AutoConfig, file).to_dict())


def _asked_for(kind: Any, file: Path, **settings: object) -> Any:
    try:
        return kind.from_pretrained(file.parent, gguf_file=file.name, **settings)
    except ImportError as error:
        raise InputError(
            f"{file} is read by the packages gguf and accelerate; pip install 'vistallm[gguf]'"
        ) from error
    except Exception as error:  # whatever a damaged file makes of its reader
        reason = " ".join(str(error).split())
        raise InputError(f"{file} is no GGUF that transformers reads: {reason}") from error
