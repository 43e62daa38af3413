"""The official formats of the generated world, by the folder of their files below the data root."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

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
    names = [names] if isinstance(names, str) else list(names)
    if "all" in names:
        return list(FORMATS)
    known = (*CORE, *FORMATS)
    unknown = ", ".join(repr(name) for name in names if name not in known)
    if unknown:
        raise WorldError(
            f"the world has no format {unknown}; there are {', '.join(known)}, and all"
        )
    with_needs: set[str] = set()
    for name in names:
        if name in FORMATS:
            with_needs |= {name, *FORMATS[name].needs}
    # In the order of FORMATS, where each stands after those that it needs.
    return [name for name in FORMATS if name in with_needs]


def write_format(
    root: Path,
    name: str,
    settings: Mapping[str, int],
    pool: ProcessPoolExecutor | None,
) -> None:
    """Writes one format into its folder below `root`, once.

    Args:
        root: the data root, with the four formats already there.
        name: a key of `FORMATS`.
        settings: `seed`, `num_train`, `num_val`, `num_test` and `image_size` of the world.
        pool: processes for the work.

    Raises:
        WorldError: the folder holds a format of other settings, or other files.
    """
    form = FORMATS[name]
    jobs = form.jobs(settings)
    own_settings = {
        "world": name,
        "version": form.version,
        **settings,
    }
    write_once(root / name, own_settings, partial(_write, jobs=jobs, pool=pool, form=form))


def _write(
    root: Path,
    jobs: list[Chunk],
    pool: ProcessPoolExecutor | None,
    form: Format,
) -> None:
    form.write(root, run(root, jobs, pool, form.draw))
