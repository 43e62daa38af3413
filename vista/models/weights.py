"""Loading the parts of a model from checkpoints: one file or many, one part or all of them, ours or others'.

`Salesforce/instructblip-vicuna-7b` keeps all parts in one set of shards, told apart by the prefixes `vision_model.`,
`qformer.`, `query_tokens`, `language_projection.` and `language_model.`; a LLaMA folder has no prefix.
`from_pretrained` of a part on such a composite folder loads nothing and raises nothing, hence this file. `stored.py`
opens files, `layouts.py` knows the names of others, and `laid_out.py` gives parts their values.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from vista.data import InputError
from vista.models.config_check import check_config
from vista.models.drawn import drawn, grown
from vista.models.hub import local
from vista.models.laid_out import fill, is_laid_out, laying_out, with_memory
from vista.models.layouts import Layout, our_names
from vista.models.names import own_names
from vista.models.stored import ALL, Stored, open_tensors

# Tables whose new rows may be drawn, where a vocabulary was extended.
EMBEDDINGS = "embed_tokens.weight"
HEAD = "lm_head.weight"
TABLES = (EMBEDDINGS, HEAD, "word_embeddings.weight")
FILES = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")  # of weights, in a folder
# Names in files that are no weights of the part, by kind.
NO_WEIGHTS = {
    "constants of older libraries": r"inv_freq|position_ids|masked_bias",
    "LLaVA's own parts": r"mm_projector|vision_tower",
}
MOST_NAMED = 20  # parameters that a message names


@dataclass(frozen=True)
class Filling:
    """What a part is filled with.

    Attributes:
        tensors: by the part's own names.
        report: what is loaded, new and left over, in a line.
    """

    tensors: Mapping[str, Stored]
    report: str


def read_tensors(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    """All tensors under `prefix`, with the prefix cut off.

    Args:
        path: see `vista.models.stored.open_tensors`; or the name of a model on the hub.
        prefix: of the names to take, for example `qformer.`; if no name has it, the names are taken as they are.

    Raises:
        MissingFileError: no file of weights is there.
        InputError: a file is damaged.
    """
    tensors, _ = _open_part(local(path), prefix)
    return {name: stored.read(ALL) for name, stored in tensors.items()}


def load_part(part: nn.Module, path: Path, prefix: str = "") -> None:
    """Fill a part from a checkpoint; every parameter must be there, in its size, and no other one.

    A part that is laid out without memory (`vista/models/laid_out.py`) keeps in `filling` where its weights are, to be
    filled once it is sharded, or at once where it is not.

    A `config.json` beside the file must describe the same part. The embedding tables may have fewer rows in the file
    than in the part (a vocabulary that was extended): the new ones are drawn with the mean and the deviation of those
    that exist.

    Args:
        part: the module to fill, in place; `filling.report` then says with what.
        path: see `read_tensors`.
        prefix: see `read_tensors`.

    Raises:
        InputError: a parameter is missing, has another size or has no place, or the file is of another model.
        MissingFileError: no file of weights is there.
    """
    path = local(Path(path))
    check_config(part, path, prefix)
    part.filling = _filling(part, path, prefix)  # type: ignore[assignment]
    if not (laying_out() or is_laid_out(part)):
        fill_part(part)


def fill_part(part: nn.Module) -> None:
    """Read what `load_part` has noted for a part that was laid out; a part that is filled stays as it is."""
    filling = getattr(part, "filling", None)
    if isinstance(filling, Filling) and filling.tensors:
        fill(part, filling.tensors)
        part.filling = replace(filling, tensors={})  # type: ignore[assignment]


def load_queries(query_tokens: nn.Parameter, path: Path) -> None:
    """Take the queries of an InstructBLIP checkpoint.

    Raises:
        InputError: they are not there, or of another size.
    """
    tensors, _ = _open_part(local(path), "query_tokens")
    queries = tensors.get("")
    if queries is None or queries.shape != query_tokens.shape:
        found = "no query_tokens"
        if queries is not None:
            found = f"query_tokens of shape {queries.shape}"
        raise InputError(f"{path} has {found}, the model needs {tuple(query_tokens.shape)}")
    with torch.no_grad():
        query_tokens.copy_(queries.read(ALL))


def check_shapes(saved: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> None:
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


def _open_part(path: Path, prefix: str) -> tuple[dict[str, Stored], Layout]:
    """The tensors of one part under our names, without their prefix, and what is known of their layout."""
    with with_memory():  # transformers reads a GGUF by building its model
        opened = open_tensors(path)
    tensors, layout = our_names(opened, prefix)
    own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    return own or tensors, layout


def _filling(part: nn.Module, path: Path, prefix: str) -> Filling:
    """What every tensor of a part is filled with, in the order of its state: what is drawn is drawn in it."""
    tensors, layout = _open_part(path, prefix)
    tensors = own_names(part, tensors)
    state = part.state_dict()
    missing = [name for name in state if name not in tensors and not _tied(part, name)]
    new = [name for name in missing if layout.new and re.search(layout.new, name)]
    _refuse_holes(part, [name for name in missing if name not in new], path)
    left_over = _left_over(part, tensors, path, {**NO_WEIGHTS, **layout.left_over})
    filled, added = {}, 0
    for name, own in state.items():
        if name in tensors:
            filled[name] = _fitting(tensors[name], tuple(own.shape), name, path)
            added = max(added, filled[name].shape[0] - tensors[name].shape[0] if own.dim() else 0)
        elif name in new:
            filled[name] = drawn(name, tuple(own.shape))
    if _tied(part, HEAD):
        _refuse_own_head(tensors, path)
    report = f"{len(filled) - len(new)} tensors of {path}"
    if new:
        report += f"; new: {_named(new)}, since {layout.why}"
    if added:
        report += f"; new: {added} rows of the vocabulary, which was extended"
    return Filling(filled, report + left_over)


def _left_over(
    part: nn.Module, names: Iterable[str], path: Path, harmless: Mapping[str, str]
) -> str:
    """What has no place in a part, by kind; no weight is left out in silence, such as those of more layers."""
    known = part.state_dict().keys()
    kinds: Counter[str] = Counter()
    surplus = []
    unused: tuple[str, ...] = getattr(part, "unused_weights", ())  # of a vision tower
    for name in sorted(set(names) - known):
        if f"{name}.".startswith(unused):
            kinds["no use here"] += 1
            continue
        kind = next((kind for kind, pattern in harmless.items() if re.search(pattern, name)), None)
        if kind is None:
            surplus.append(name)
        else:
            kinds[kind] += 1
    if surplus:
        raise InputError(
            f"{path} has {len(surplus)} parameters that this {type(part).__name__} lacks, the first is "
            f"{_named(surplus)}"
        )
    counts = ", ".join(f"{count} of {kind}" for kind, count in kinds.items())
    return f"; left over: {counts}" if counts else ""


def _refuse_holes(part: nn.Module, missing: list[str], path: Path) -> None:
    """Every parameter must come from somewhere."""
    if missing:
        lack = f"{len(missing)} parameters of {type(part).__name__}, the first is {_named(missing)}"
        raise InputError(f"{path} lacks {lack}")


def _named(names: list[str]) -> str:
    """Names in a message, not too many."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _refuse_own_head(tensors: Mapping[str, Stored], path: Path) -> None:
    """One table cannot be two: an output table that is not that of the input would take its place."""
    heads = [tensor for name, tensor in tensors.items() if name.endswith(HEAD)]
    tables = [tensor for name, tensor in tensors.items() if name.endswith(EMBEDDINGS)]
    for head, table in zip(heads, tables, strict=False):
        if not torch.equal(head.read(ALL), table.read(ALL)):
            raise InputError(
                f"{path} has an {HEAD} that differs from {EMBEDDINGS}; tied, one of them is lost: set "
                "--llm.tie_embeddings false"
            )


def _tied(part: nn.Module, name: str) -> bool:
    """Whether a parameter is only a second name of the input embeddings."""
    config = getattr(part, "config", None)
    return name.endswith(HEAD) and bool(getattr(config, "tie_word_embeddings", False))


def _fitting(stored: Stored, shape: tuple[int, ...], name: str, path: Path) -> Stored:
    """A tensor of the size that a part needs; a table may have grown, whose new rows are drawn like the old ones."""
    if stored.shape == shape:
        return stored
    table = name.endswith(TABLES)
    longer = stored.shape[1:] == shape[1:] and shape[:1] > stored.shape[:1]
    if not (table and longer):
        raise InputError(f"{path}: {name} has shape {stored.shape}, the model needs {shape}")
    return grown(stored, shape[0])
