"""What configs say of a run, without weights: all settings of the groups, the tokenizer, the model on the meta device.

run = read_run(setup.settings)
run.data["batch_size"], run.trainer["max_epochs"]       # as given, else as the classes have it
bare_model(setup.settings, Vocabularies(32999, 30523))  # a VistaLLM that takes no memory
"""

from dataclasses import dataclass, is_dataclass
from inspect import Parameter, signature
from typing import Any, TypeAlias, get_type_hints

import torch
from lightning import Trainer

from datamodules.commands.configured import Setup
from datamodules.mixture import MixtureData
from vista.app.cli import TRAINER_DEFAULTS
from vista.app.runs import find_file
from vista.app.settings import make_part
from vista.app.strict_yaml import Settings
from vista.data import InputError
from vista.models.parts import LLM, Encoder, QFormer
from vista.models.vistallm import VistaLLM
from vista.module import VistaModule, freeze_parts
from vista.tokens.tokenizer import Tokenizer

Values: TypeAlias = dict[str, Any]


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
    """

    llm: int
    qformer: int


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


def bare_model(settings: Settings, vocabularies: Vocabularies) -> VistaLLM:
    """The model of the configs on the meta device, with the parts frozen that are; no file of weights is opened.

    Raises:
        InputError: a setting of a part is unknown, or sizes do not fit together.
    """
    run = read_run(settings)
    sizes = {group: _sizes(settings, group) for group in ("encoder", "qformer", "llm")}
    sizes["qformer"]["vocab_size"] = vocabularies.qformer
    sizes["llm"]["vocab_size"] = vocabularies.llm
    with torch.device("meta"):
        encoder = make_part(Encoder, sizes, "encoder")
        sizes["qformer"]["encoder_hidden_size"] = encoder.config.hidden_size
        qformer, llm = make_part(QFormer, sizes, "qformer"), make_part(LLM, sizes, "llm")
        model = VistaLLM(encoder, qformer, llm, 0, run.model["length_groups"])
    freeze_parts(model, run.model["trainable"])
    return model.train()


def _sizes(settings: Settings, group: str) -> Settings:
    """Settings of a part, without its weights."""
    given = settings.get(group) or {}
    if not isinstance(given, dict):
        raise InputError(f"{group} is {given!r}, it must hold settings")
    return {**given, "weights": None}
