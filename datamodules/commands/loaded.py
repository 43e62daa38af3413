"""A model out of its checkpoint, without Lightning: what `export` describes, and what `demo` loads.

path = find_checkpoint("stage2")
loaded = load(path, settings_of(path, []))      # model, tokenizer, codec and how it is asked
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from datamodules.commands.bare import Vocabularies, build_model, read_run
from vista.app.runs import config_of
from vista.app.settings import defaults, make_part, stack
from vista.app.strict_yaml import Settings
from vista.app.unnamed import read_unnamed
from vista.codec.codec import Codec
from vista.data import InputError
from vista.decoding.coordinates import Coordinates
from vista.models.config_check import differing, unseen_settings
from vista.models.laid_out import without_memory
from vista.models.vistallm import VistaLLM
from vista.models.weights import check_shapes
from vista.tokens.chat import Template
from vista.tokens.tokenizer import Tokenizer
from vista.training.checkpoint_files import Checkpoint
from vista.training.checkpoints import open_weights, read_states
from vista.training.model_folder import PREFIX
from vista.training.start import fill_from

Build: TypeAlias = Callable[[Settings, Vocabularies, int], VistaLLM]


@dataclass(frozen=True)
class Loaded:
    """A model that answers.

    Attributes:
        model: in evaluation mode, on a GPU if there is one.
        tokenizer: of its language model.
        codec: how regions are written.
        template: conversation form, see `vista.tokens.batch.encode_example`.
        coordinates: how they are read, see `vista.decoding.greedy.generate`.
    """

    model: VistaLLM
    tokenizer: Tokenizer
    codec: Codec
    template: Template
    coordinates: Coordinates


def settings_of(path: Path, configs: list[str]) -> Settings:
    """All settings of a checkpoint's run; those of named configs decide over its own.

    Raises:
        InputError: it lies in no run's folder, and no config is named.
    """
    own = config_of(path)
    if own is None and not configs:
        raise InputError(
            f"{path} lies in no run's folder; name the configs that it was trained with by --config"
        )
    below = None if own is None else read_unnamed(own)
    return stack(configs if below else [*defaults(configs), *configs], below)


def model_of(
    path: Path, settings: Settings, build: Build
) -> tuple[VistaLLM, Tokenizer, Checkpoint, Mapping[str, Tensor]]:
    """A checkpoint's model without its weights, its tokenizer, its states, and its weights on the disk.

    Args:
        path: of the checkpoint.
        settings: of its run.
        build: makes the model of settings.

    Raises:
        InputError: the checkpoint is damaged, or was made under other settings.
    """
    states = read_states(path)
    if missing := [key for key in ("vista", "epoch", "global_step") if key not in states]:
        raise InputError(f"{path} lacks {missing[0]!r}; it was not written by a training")
    weights, shapes = open_weights(path)
    tokenizer = Tokenizer.from_json(states["vista"]["tokenizer"])
    model = build(settings, Vocabularies.of(tokenizer), tokenizer.image_id)
    own = {f"{PREFIX}{name}": tensor for name, tensor in model.state_dict().items()}
    check_shapes({name: shapes[name] for name in shapes if name.startswith(PREFIX)}, own)
    for name, then, now in differing(states["vista"]["settings"], unseen_settings(model)):
        raise InputError(f"{path} was made with {name} {then}, its config has {now}")
    return model, tokenizer, states, weights


def load(path: Path, settings: Settings) -> Loaded:
    """A model with its weights, and how it is asked.

    Raises:
        InputError: as `model_of`; or a setting of the codec is not understood.
    """
    with without_memory():
        model, tokenizer, _, _ = model_of(path, settings, build_model)
    fill_from(nn.ModuleDict({PREFIX.rstrip("."): model}), path)
    run = read_run(settings)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Loaded(
        model.to(device).eval(),
        tokenizer,
        make_part(Codec, settings, "codec"),
        run.data["template"],
        run.model["decoding"].coordinates,
    )
