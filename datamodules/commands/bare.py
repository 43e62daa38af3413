"""What configs say of a run, without weights: all settings of the groups, the tokenizer, the model on the meta device.

run = read_run(setup.settings)
run.data["batch_size"], run.trainer["max_epochs"]       # as given, else as the classes have it
bare_model(setup.settings, Vocabularies(32999, 30523))  # a VistaLLM that takes no memory, and never will
"""

from dataclasses import dataclass, is_dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

import torch
from lightning import Trainer

from datamodules.commands.configured import Setup
from datamodules.mixture import MixtureData
from vista.app.cli import TRAINER_DEFAULTS
from vista.app.runs import find_file
from vista.app.settings import make_part
from vista.app.strict_yaml import Settings
from vista.data import InputError, MissingFileError
from vista.models.config_file import GROUPS, part_config
from vista.models.encoder import build_encoder
from vista.models.hub import SETTINGS, local
from vista.models.laid_out import keep_frozen_in
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.towers import width_of
from vista.models.trained import freeze_parts, put_on_parts
from vista.models.vistallm import VistaLLM
from vista.models.weights import FILES
from vista.module import VistaModule
from vista.tokens.llama import COORDINATES, MARKS
from vista.tokens.tokenizer import Tokenizer

Values: TypeAlias = dict[str, Any]
PREFIXES = {
    group: prefix for prefix, group in GROUPS.items()
}  # of the parts' weights in one folder


@dataclass(frozen=True)
class Run:
    """Settings of a run with the defaults of the classes that take them.

    Attributes:
        data: of `MixtureData`.
        model: of `VistaModule`.
        trainer: of Lightning's trainer.
    """

    data: Values
    model: Values
    trainer: Values


@dataclass(frozen=True)
class Vocabularies:
    """Rows of the embeddings.

    Attributes:
        llm: of the language model.
        qformer: of the QFormer.
        added: of the language model's, those that are ours.
        own_words: whether the QFormer has a tokenizer of its own.
    """

    llm: int
    qformer: int
    added: int = len(COORDINATES) + len(MARKS)
    own_words: bool = True

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Vocabularies":
        """Those of a tokenizer."""
        own_words = tokenizer.instructions is not None
        return cls(len(tokenizer), tokenizer.instruction_size, len(tokenizer.added_ids), own_words)


def read_run(settings: Settings) -> Run:
    """The groups of settings, completed.

    Raises:
        InputError: a group of settings, such as `data.order`, has an unknown one.
    """
    return Run(
        with_defaults(MixtureData, settings, "data"),
        with_defaults(VistaModule, settings, "model"),
        with_defaults(
            Trainer, {"trainer": TRAINER_DEFAULTS | (settings.get("trainer") or {})}, "trainer"
        ),
    )


def with_defaults(kind: type, settings: Settings, group: str) -> Values:
    """The settings of a class as given, else its defaults; those that are dataclasses are made."""
    given = settings.get(group) or {}
    types = get_type_hints(kind.__init__)  # type: ignore[misc]
    values: Values = {}
    for name, parameter in signature(kind).parameters.items():
        if is_dataclass(types.get(name)):
            values[name] = make_part(types[name], given, name)
        elif parameter.default is not Parameter.empty or name in given:
            values[name] = given.get(name, parameter.default)
    return values


def read_tokenizer(setup: Setup) -> Tokenizer:
    """The tokenizer of the configs.

    Raises:
        MissingFileError, InputError: it is not there, or is none of ours.
    """
    given = dict(setup.settings.get("tokenizer") or {})
    for key in ("folder", "instructions"):  # paths of the project's own configs are relative to it
        if given.get(key):
            given[key] = find_file(given[key])
    return make_part(Tokenizer, {"tokenizer": given}, "tokenizer")


def build_model(settings: Settings, vocabularies: Vocabularies, image_id: int = 0) -> VistaLLM:
    """The model of the configs, whose weights are nobody's yet; no file of weights is opened.

    Args:
        settings: of all groups.
        vocabularies: rows of the embeddings.
        image_id: of `<image>`.

    Raises:
        MissingFileError: no `config.json` is there to say the sizes of a part.
        InputError: a setting of a part is unknown, or sizes do not fit together.
    """
    groups = {group: _described(settings, group) for group in PREFIXES}
    groups["qformer"]["vocab_size"] = vocabularies.qformer
    groups["llm"]["vocab_size"] = vocabularies.llm
    tower = make_part(build_encoder, groups, "encoder")
    groups["qformer"]["encoder_hidden_size"] = width_of(tower)
    qformer, decoder = (
        make_part(QFormer, groups, "qformer"),
        make_part(build_llm, groups, "llm"),
    )
    return VistaLLM(tower, qformer, decoder, image_id, read_run(settings).model["length_groups"])


def bare_model(settings: Settings, vocabularies: Vocabularies, image_id: int = 0) -> VistaLLM:
    """`build_model` on the meta device, with the parts frozen that are.

    Not even buffers have numbers, so that any arithmetic on it costs nothing. A model that is to be filled is built
    in `vista.models.laid_out.without_memory`.
    """
    with torch.device("meta"):
        model = build_model(settings, vocabularies, image_id)
    values = read_run(settings).model
    freeze_parts(model, values["trainable"])
    keep_frozen_in(model, getattr(torch, values["frozen_dtype"]))
    return model


def put_on_adapters(model: VistaLLM, run: Run, vocabularies: Vocabularies) -> None:
    """Put the adapters of a run on its model on the meta device, in place; where it has none, nothing changes.

    Raises:
        InputError: peft is not installed, or a layer is named that is not there.
    """
    rows = range(
        vocabularies.llm - vocabularies.added, vocabularies.llm
    )  # any, as many as there are
    with torch.device("meta"):
        put_on_parts(
            model, run.model["adapters"], run.model["trainable"], rows, vocabularies.own_words
        )
    keep_frozen_in(model, getattr(torch, run.model["frozen_dtype"]))


def _described(settings: Settings, group: str) -> Settings:
    """Settings of a part, whose sizes are those of the folder of its weights, without these weights."""
    given = settings.get(group) or {}
    if not isinstance(given, dict):
        raise InputError(f"{group} is {given!r}, it must hold settings")
    architecture, weights = find_file(given.get("architecture")), find_file(given.get("weights"))
    if architecture is None and weights is not None:
        architecture = _describing(weights, group)
    return {**given, "weights": None, "architecture": architecture}


def _describing(weights: Path, group: str) -> Path | None:
    """The folder of weights where it says sizes; None where they are those of the settings."""
    try:
        folder = local(weights, SETTINGS)
    except MissingFileError:  # neither here nor on the hub
        folder = weights
    there = folder.exists()
    if there and part_config(folder, PREFIXES[group]) is not None:
        return folder
    if there and (folder.is_file() or any(any(folder.glob(kind)) for kind in FILES)):
        return None
    raise MissingFileError(
        f"{weights} holds no config.json, which says the sizes of the {group}; put that file there, weights are not "
        "needed to plan a run"
    )
