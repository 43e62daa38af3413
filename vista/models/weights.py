"""Loading the parts of a checkpoint that is one file or a folder of safetensors shards.

`Salesforce/instructblip-vicuna-7b` keeps all parts in one set of shards, told apart by the prefixes `vision_model.`,
`qformer.`, `query_tokens`, `language_projection.` and `language_model.`; a LLaMA folder has no prefix.
`from_pretrained` of a part on such a composite folder loads nothing and raises nothing, hence this file.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from vista.data import InputError, MissingFileError
from vista.models.config_file import check_config

# Tables whose new rows may be drawn, where a vocabulary was extended.
EMBEDDINGS = "embed_tokens.weight"
HEAD = "lm_head.weight"
TABLES = (EMBEDDINGS, HEAD, "word_embeddings.weight")
# Names in files that are no weights of the part: constants that older libraries saved, and what LLaVA adds to its LLM.
NO_WEIGHTS = re.compile(r"inv_freq|position_ids|masked_bias|mm_projector|vision_tower")


def read_tensors(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    """All tensors under `prefix`, with the prefix cut off.

    Args:
        path: a `.safetensors` file, or a folder of them.
        prefix: of the names to take, for example `qformer.`; if no name has it, the names are taken as they are.

    Raises:
        MissingFileError: no safetensors file is there.
        InputError: a file is damaged.
    """
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise MissingFileError(
            f"no .safetensors file at {path}; download the weights into that folder"
        )
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as shard:
                for name in shard.keys():  # noqa: SIM118
                    if name.startswith(prefix):
                        tensors[name.removeprefix(prefix)] = shard.get_tensor(name)
        except SafetensorError as error:
            raise InputError(f"{file} is no safetensors file, or is damaged: {error}") from error
    return tensors if tensors or not prefix else read_tensors(path)


def load_part(part: nn.Module, path: Path, prefix: str = "") -> None:
    """Fill a part from a checkpoint; every parameter must be there, in its size, and no other one.

    A `config.json` beside the file must describe the same part. The embedding tables may have fewer rows in the file
    than in the part (a vocabulary that was extended): the new ones are drawn with the mean and the deviation of those
    that exist.

    Args:
        part: the module to fill, in place.
        path: see `read_tensors`.
        prefix: see `read_tensors`.

    Raises:
        InputError: a parameter is missing, has another size or has no place, or the file is of another model.
    """
    path = Path(path)
    check_config(part, path, prefix)
    tensors = read_tensors(path, prefix)
    state = part.state_dict()
    missing = [name for name in state if name not in tensors and not is_tied(part, name)]
    if missing:
        lack = f"{len(missing)} parameters of {type(part).__name__}, the first is {missing[0]}"
        raise InputError(f"{path} lacks {lack}")
    _refuse_surplus(part, tensors, path)
    with torch.no_grad():
        for name, own in state.items():
            if name in tensors:
                _copy(own, tensors[name], name, path)
    if is_tied(part, HEAD):
        _refuse_own_head(tensors, path)


def load_queries(query_tokens: nn.Parameter, path: Path) -> None:
    """Take the queries of an InstructBLIP checkpoint.

    Raises:
        InputError: they are not there, or of another size.
    """
    queries = read_tensors(path, "query_tokens").get("")
    if queries is None or queries.shape != query_tokens.shape:
        found = "no query_tokens"
        if queries is not None:
            found = f"query_tokens of shape {tuple(queries.shape)}"
        raise InputError(f"{path} has {found}, the model needs {tuple(query_tokens.shape)}")
    with torch.no_grad():
        query_tokens.copy_(queries)


def check_shapes(saved: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> None:
    """Refuse weights of a model of other sizes.

    Raises:
        InputError: names the first parameter that is missing, unknown or of another shape.
    """
    if differing := sorted(saved.keys() ^ own.keys()):
        where = "the checkpoint" if differing[0] in saved else "this model"
        raise InputError(
            f"only {where} has {differing[0]}; {len(differing)} parameters differ in name"
        )
    for name, tensor in own.items():
        theirs = tuple(saved[name].shape)
        ours = tuple(tensor.shape)
        if theirs != ours:
            raise InputError(
                f"{name} has shape {theirs} in the checkpoint and {ours} in this model"
            )


def _refuse_surplus(part: nn.Module, names: Iterable[str], path: Path) -> None:
    """No weight is left out in silence, such as those of more layers."""
    known = part.state_dict().keys()
    surplus = [name for name in names if name not in known and not NO_WEIGHTS.search(name)]
    if surplus:
        first = sorted(surplus)[0]
        kind = type(part).__name__
        raise InputError(
            f"{path} has {len(surplus)} parameters that this {kind} lacks, the first is {first}"
        )


def _refuse_own_head(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """One table cannot be two: an output table that is not that of the input would take its place."""
    heads = [tensor for name, tensor in tensors.items() if name.endswith(HEAD)]
    tables = [tensor for name, tensor in tensors.items() if name.endswith(EMBEDDINGS)]
    for head, table in zip(heads, tables, strict=False):
        if not torch.equal(head, table):
            raise InputError(
                f"{path} has an {HEAD} that differs from {EMBEDDINGS}; tied, one of them is lost: set "
                "--llm.tie_embeddings false"
            )


def is_tied(part: nn.Module, name: str) -> bool:
    """Whether a parameter is only a second name of the input embeddings."""
    config = getattr(part, "config", None)
    return name.endswith(HEAD) and bool(getattr(config, "tie_word_embeddings", False))


def _copy(
    own: torch.Tensor,
    other: torch.Tensor,
    name: str,
    path: Path,
) -> None:
    """Copy a tensor in place; a table may have grown, whose new rows are drawn like the old ones."""
    if own.shape == other.shape:
        own.copy_(other)
        return
    table = name.endswith(TABLES)
    grown = own.shape[1:] == other.shape[1:] and len(own) > len(other)
    if not (table and grown):
        raise InputError(
            f"{path}: {name} has shape {tuple(other.shape)}, the model needs {tuple(own.shape)}"
        )
    own[: len(other)].copy_(other)
    values = other.float()
    own[len(other) :].normal_(values.mean().item(), values.std().item())
