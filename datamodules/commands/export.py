"""`export`: a model as one folder, which transformers reads and every verb takes for a checkpoint.

python main.py export --ckpt_path runs/stage2 --out exported
python main.py test --ckpt_path exported
python main.py export --ckpt_path runs/stage2 --out exported --push owner/name
"""

from pathlib import Path

import torch
import yaml

from datamodules.commands.bare import Vocabularies, bare_model
from datamodules.commands.options import ExportOptions
from datamodules.commands.push import check_name, push
from vista.app.model_card import model_card
from vista.app.model_settings import how_trained
from vista.app.runs import config_of, find_checkpoint
from vista.app.settings import defaults, stack
from vista.app.strict_yaml import Settings
from vista.app.unnamed import read_unnamed
from vista.data import InputError
from vista.models.config_check import differing, unseen_settings
from vista.models.instructblip import is_instructblip
from vista.models.pixels import pixels_of
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
    model = bare_model(settings, Vocabularies.of(tokenizer), tokenizer.image_id)
    own = {f"{PREFIX}{name}": tensor for name, tensor in model.state_dict().items()}
    check_shapes({name: shapes[name] for name in shapes if name.startswith(PREFIX)}, own)
    for name, then, now in differing(states["vista"]["settings"], unseen_settings(model)):
        raise InputError(f"{path} was made with {name} {then}, its config has {now}")
    pixels = pixels_of(model.vision_model.config)
    FolderWriter(model, weights, dtype, folder).write(states, tokenizer, pixels)
    (folder / "config.yaml").write_text(yaml.safe_dump(how_trained(settings), sort_keys=False))
    numbers = sum(parameter.numel() for parameter in model.parameters())
    card = model_card(settings, states, path, numbers, dtype, is_instructblip(model))
    (folder / "README.md").write_text(card)


def _settings_of(path: Path, configs: list[str]) -> Settings:
    """All settings of a checkpoint's run; those of named configs decide over its own."""
    own = config_of(path)
    if own is None and not configs:
        raise InputError(
            f"{path} lies in no run's folder; name the configs that it was trained with by --config"
        )
    below = None if own is None else read_unnamed(own)
    return stack(configs if below else [*defaults(configs), *configs], below)
