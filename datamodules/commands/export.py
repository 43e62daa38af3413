"""`export`: a model as one folder, which transformers reads and every verb takes for a checkpoint.

python main.py export --ckpt_path runs/stage2 --out exported
python main.py test --ckpt_path exported
python main.py export --ckpt_path runs/stage2 --out exported --push owner/name
"""

from pathlib import Path

import torch
import yaml

from datamodules.commands.bare import bare_model
from datamodules.commands.loaded import model_of, settings_of
from datamodules.commands.options import ExportOptions
from datamodules.commands.push import check_name, push
from vista.app.model_card import model_card
from vista.app.model_settings import how_trained
from vista.app.runs import find_checkpoint
from vista.app.strict_yaml import Settings
from vista.data import InputError
from vista.models.instructblip import is_instructblip
from vista.models.pixels import pixels_of
from vista.printable import say
from vista.training import checkpoint_files as files
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
    settings = settings_of(path, options.config)
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
    model, tokenizer, states, weights = model_of(path, settings, bare_model)
    pixels = pixels_of(model.vision_model.config)
    FolderWriter(model, weights, dtype, folder).write(states, tokenizer, pixels)
    (folder / "config.yaml").write_text(yaml.safe_dump(how_trained(settings), sort_keys=False))
    numbers = sum(parameter.numel() for parameter in model.parameters())
    card = model_card(settings, states, path, numbers, dtype, is_instructblip(model))
    (folder / "README.md").write_text(card)
