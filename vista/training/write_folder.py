"""Writing a model as one folder (`vista/training/model_folder.py`), a file of tensors at a time.

Never more than one file's tensors are in memory, five gigabytes: weights are read from where they are as they are
written, in the type that is asked for.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors.torch import save_file
from torch import Tensor

from vista.data import InputError
from vista.models.instructblip import (
    composite_config,
    instruction_tokenizer,
    is_instructblip,
    write_processor,
)
from vista.models.pixels import Pixels
from vista.models.vistallm import VistaLLM
from vista.tokens.tokenizer import Tokenizer
from vista.training import checkpoint_files as files
from vista.training.checkpoint_files import Checkpoint
from vista.training.folder_settings import INSTRUCTIONS, SETTINGS, STATES
from vista.training.model_folder import OTHER_TENSORS, PARTS, PREFIX, index_of

LARGEST = 5 * 10**9  # bytes of one file, as the Hugging Face hub's own libraries have it


class FolderWriter:
    """Writes one model."""

    def __init__(
        self, model: VistaLLM, weights: Mapping[str, Tensor], dtype: torch.dtype, folder: Path
    ) -> None:
        """Keep what is written.

        Args:
            model: its parts may be without memory; says what there is.
            weights: by their names in a checkpoint, each read when it is looked at. Adapters are merged here, before:
                a mapping that adds to a weight what its adapter makes of it.
            dtype: of the numbers that are written.
            folder: there, and empty.
        """
        self.model, self.weights, self.dtype, self.folder = model, weights, dtype, folder
        self.shapes = model.state_dict()
        self.tied = tied_names(model)

    def write(self, states: Checkpoint, tokenizer: Tokenizer, pixels: Pixels) -> None:
        """Write weights, tokenizers and settings.

        Args:
            states: of the checkpoint, without its tensors.
            tokenizer: of the language model.
            pixels: how images become tensors.

        Raises:
            InputError: a number is too large for the type.
        """
        own = None if tokenizer.instructions is None else tokenizer.instructions.to_json()
        self.model.language_model.config.eos_token_id = tokenizer.eos_id  # where its answers end
        instructions = instruction_tokenizer(tokenizer.fast, own)
        names = [name for name in self.shapes if name not in self.tied]
        if is_instructblip(self.model):
            composite_config(self.model, self.dtype).save_pretrained(self.folder)
            write_processor(self.model, tokenizer.fast, instructions, pixels, self.folder)
        else:
            queries = {"num_query_tokens": self.model.qformer.num_queries}
            (self.folder / "config.json").write_text(json.dumps(queries) + "\n")
            instructions.save_pretrained(self.folder / INSTRUCTIONS)
            for part in PARTS:
                self._write_part(part, [name for name in names if name.startswith(f"{part}.")])
            tokenizer.fast.save_pretrained(self.folder / "language_model")
            names = [name for name in names if name.partition(".")[0] not in PARTS]
        self._write_tensors(names, "", self.folder)
        tokenizer.save(self.folder)  # behind the processor's, in which a mark is a special token
        other = [name for name in self.weights if not name.startswith(PREFIX)]
        _save({name: self.weights[name] for name in other}, self.folder / OTHER_TENSORS)
        self._write_settings(states, own is not None)

    def _write_settings(self, states: Checkpoint, instructions: bool) -> None:
        """Write what transformers does not know."""
        content = {name: states[name] for name in STATES}
        content["settings"] = states["vista"]["settings"]
        content["instructions"] = instructions
        content["tied"] = {f"{PREFIX}{name}": f"{PREFIX}{one}" for name, one in self.tied.items()}
        (self.folder / SETTINGS).write_text(json.dumps(content, indent=1) + "\n")

    def _write_part(self, part: str, names: Iterable[str]) -> None:
        """A part by itself: what its `from_pretrained` reads."""
        folder = self.folder / part
        folder.mkdir()
        module: Any = getattr(self.model, part)
        config = type(module.config).from_dict(module.config.to_dict())
        config.architectures, config.dtype = [type(module).__name__], self.dtype
        config.save_pretrained(folder)
        own = [name.removeprefix(f"{part}.") for name in names]
        self._write_tensors(own, f"{part}.", folder)

    def _write_tensors(self, names: Iterable[str], part: str, folder: Path) -> None:
        """Tensors in as many files as they need, with an index of several; names are those of one part."""
        sizes = {name: self.shapes[part + name].numel() * self.dtype.itemsize for name in names}
        pattern = "model{suffix}.safetensors"
        split = split_state_dict_into_shards_factory(
            sizes, get_storage_size=int, filename_pattern=pattern, max_shard_size=LARGEST
        )
        for file, own in split.filename_to_tensors.items():
            _save({name: self._tensor(part + name) for name in own}, folder / file)
        if split.is_sharded:
            index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
            text = json.dumps(index, indent=1) + "\n"
            index_of(folder / "model.safetensors").write_text(text)

    def _tensor(self, name: str) -> Tensor:
        """A weight in the type that is written."""
        tensor = self.weights[f"{PREFIX}{name}"]
        if not tensor.is_floating_point():
            return tensor.contiguous()
        cast = tensor.to(self.dtype).contiguous()
        if cast.isinf().sum() > tensor.isinf().sum():
            largest = tensor.abs().max().item()
            raise InputError(
                f"{name} holds {largest:.3g}, too large for {self.dtype}; set --dtype bfloat16"
            )
        return cast


def tied_names(model: torch.nn.Module) -> dict[str, str]:
    """Second names of weights that are the same tensor, such as that of a tied head, and their first names."""
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) in first:
            tied[name] = first[id(parameter)]
        else:
            first[id(parameter)] = name
    return tied


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    """Write a file with its sum; transformers wants the format to be named."""
    save_file(tensors, file, metadata={"format": "pt"})
    files.sum_file(file).write_text(f"{files.sum_of(file)}  {file.name}\n")
    # safetensors lets nobody else read what it writes, whatever the umask says.
    shutil.copymode(files.sum_file(file), file)
