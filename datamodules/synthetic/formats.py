"""The official formats of the generated world, by the folder of their files below the data root."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.synthetic import (
    coseg,
    flickr30k_entities,
    grefcoco,
    groupwise_res,
    hateful_memes,
    iconqa,
    llava_instruct,
    pointingqa,
    pope,
    textvqa,
    vcr,
    visual7w,
    visual_genome,
)
from datamodules.synthetic.chunks import Chunk, run
from datamodules.synthetic.files import WorldError, write_once
from datamodules.synthetic.format import Format

CORE = ("coco", "refcoco", "vqav2", "nlvr2")  # always there, see core.py
FORMATS: dict[str, Format] = {
    "grefcoco": grefcoco.FORMAT,
    "visual_genome": visual_genome.FORMAT,
    "pointingqa": pointingqa.FORMAT,
    "visual7w": visual7w.FORMAT,
    "flickr30k_entities": flickr30k_entities.FORMAT,
    "vcr": vcr.FORMAT,
    "llava_instruct": llava_instruct.FORMAT,
    "pope": pope.FORMAT,
    "textvqa": textvqa.FORMAT,
    "iconqa": iconqa.FORMAT,
    "hateful_memes": hateful_memes.FORMAT,
    "coseg": coseg.FORMAT,
    "groupwise_res": groupwise_res.FORMAT,
}


def chosen_formats(names: str | Sequence[str]) -> list[str]:
    """The formats beyond the four that are always there, each after those that it needs.

    Args:
        names: names of formats, or "all".

    Raises:
        WorldError: there is no such format.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    if "all" in wanted:
        return list(FORMATS)
    if unknown := [name for name in wanted if name not in (*CORE, *FORMATS)]:
        there = ", ".join((*CORE, *FORMATS))
        raise WorldError(
            f"the world has no format {', '.join(map(repr, unknown))}; there are {there}, and all"
        )
    with_needs = {
        need for name in wanted if name in FORMATS for need in (*FORMATS[name].needs, name)
    }
    return [name for name in FORMATS if name in with_needs]


def write_format(
    root: Path, name: str, settings: Mapping[str, Any], pool: ProcessPoolExecutor | None
) -> None:
    """Writes one format into its folder below `root`, once.

    Args:
        root: the data root, with the four formats already there.
        name: a key of `FORMATS`.
        settings: those of the world, `world.json`.
        pool: processes for the work.

    Raises:
        WorldError: the folder holds a format of other settings, or other files.
    """
    chosen = FORMATS[name]
    jobs = chosen.jobs(settings["seed"], settings, settings["image_size"])
    own = {**settings, "world": name, "version": chosen.version}
    write_once(root / name, own, partial(_write, jobs=jobs, pool=pool, chosen=chosen))


def _write(root: Path, jobs: list[Chunk], pool: ProcessPoolExecutor | None, chosen: Format) -> None:
    chosen.write(root, run(root, jobs, pool, chosen.draw))
