"""`export`: a model as one folder, which transformers reads and every verb takes for a checkpoint.

python main.py export --ckpt_path runs/stage2 --out exported
python main.py test --ckpt_path exported
python main.py export --ckpt_path runs/stage2 --out exported --push owner/name
"""

from pathlib import Path
from typing import Any

import torch
import yaml

from datamodules.commands.options import ExportOptions
from datamodules.commands.push import check_name, push
from vista.app.model_card import model_card
from vista.app.model_settings import how_trained
from vista.app.runs import config_of, find_checkpoint
from vista.app.settings import defaults, make_part, stack
from vista.app.strict_yaml import Settings
from vista.app.unnamed import read_unnamed
from vista.data import InputError
from vista.images import CLIP_MEAN, CLIP_STD
from vista.models.config_file import unseen_settings
from vista.models.instructblip import Pixels, is_instructblip
from vista.models.parts import LLM, Encoder, QFormer
from vista.models.vistallm import VistaLLM
from vista.models.weights import check_shapes
from vista.printable import say
from vista.tokens.tokenizer import Tokenizer
from vista.training import checkpoint_files as files
from vista.training.checkpoints import open_weights, read_states
from vista.training.model_folder import PREFIX
from vista.training.write_folder import FolderWriter


def main(options: ExportOptions) -> None:
    """Write the folder, and upload it where that is asked for.

    Raises:
        InputError: the checkpoint is damaged, or was made under other settings; the folder is there already.
    """
    if options.push:
        check_name(options.push)
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise InputError(f"{options.out} is there already; name another folder by --out")
    path = find_checkpoint(options.ckpt_path)
    settings = _settings_of(path, options.config)
    unfinished = files.unfinished(options.out)
    files.discard(unfinished)
    unfinished.mkdir(parents=True)
    try:
        write_folder(path, settings, unfinished, getattr(torch, options.dtype))
        unfinished.replace(options.out)
    finally:
        files.discard(unfinished)
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    say(f"{options.out}: {size / 1e6:,.1f} MB, {options.dtype}")
    if options.push:
        from huggingface_hub import HfApi

        push(options.out, options.push, HfApi())


def write_folder(path: Path, settings: Settings, folder: Path, dtype: torch.dtype) -> None:
    """Write a checkpoint into an empty folder.

    Args:
        path: of the checkpoint.
        settings: of its run.
        folder: there, and empty.
        dtype: of the numbers.

    Raises:
        InputError: the checkpoint is damaged, or was made under other settings.
    """
    states = read_states(path)
    if missing := [key for key in ("vista", "epoch", "global_step") if key not in states]:
        raise InputError(f"{path} lacks {missing[0]!r}; it was not written by a training")
    weights, shapes = open_weights(path)
    tokenizer = Tokenizer.from_json(states["vista"]["tokenizer"])
    model = bare_model(settings, tokenizer)
    own = {f"{PREFIX}{name}": tensor for name, tensor in model.state_dict().items()}
    check_shapes({name: shapes[name] for name in shapes if name.startswith(PREFIX)}, own)
    for name, value in unseen_settings(model).items():
        if (saved := states["vista"]["settings"].get(name, value)) != value:
            raise InputError(f"{path} was made with {name} {saved}, its config has {value}")
    FolderWriter(model, weights, dtype, folder).write(states, tokenizer, _pixels(model))
    (folder / "config.yaml").write_text(yaml.safe_dump(how_trained(settings), sort_keys=False))
    numbers = sum(parameter.numel() for parameter in model.parameters())
    card = model_card(settings, states, path, numbers, dtype, is_instructblip(model))
    (folder / "README.md").write_text(card)


def bare_model(settings: Settings, tokenizer: Tokenizer) -> VistaLLM:
    """The model of a run without memory; no file of weights is opened.

    Raises:
        InputError: a setting of a part is unknown.
    """
    groups = {}
    for group in ("encoder", "qformer", "llm"):
        groups[group] = dict(settings.get(group) or {}) | {"weights": None}
    groups["llm"]["vocab_size"] = len(tokenizer)
    groups["qformer"]["vocab_size"] = tokenizer.instruction_size
    with torch.device("meta"):
        encoder = make_part(Encoder, groups, "encoder")
        groups["qformer"]["encoder_hidden_size"] = encoder.config.hidden_size
        qformer, llm = make_part(QFormer, groups, "qformer"), make_part(LLM, groups, "llm")
        return VistaLLM(encoder, qformer, llm, tokenizer.image_id)


def _settings_of(path: Path, configs: list[str]) -> Settings:
    """All settings of a checkpoint's run; those of named configs decide over its own."""
    own = config_of(path)
    if own is None and not configs:
        raise InputError(
            f"{path} lies in no run's folder; name the configs that it was trained with by --config"
        )
    below = None if own is None else read_unnamed(own)
    return stack(configs if below else [*defaults(configs), *configs], below)


def _pixels(model: VistaLLM) -> Pixels:
    """What `vista.images.ImageTransform` does with an image."""
    config: Any = model.vision_model.config
    return Pixels(config.image_size, CLIP_MEAN, CLIP_STD)
