"""The whole generated world, in official file formats, written once.

Run `python -m datamodules.synthetic.world --root data/world --num-train 20000`, or call `write_world`.

    scenes       images in coco/   what is written about them
    train        train2017         captions, instances, RefCOCO train, VQA train2014; gRefCOCO train, LLaVA-Instruct
    val          train2017         RefCOCO and gRefCOCO val
    refer_test   train2017         RefCOCO and gRefCOCO testA and testB
    test         val2017           captions, instances, VQA val2014; POPE
    nlvr2_...    (nlvr2/)          NLVR2 train, dev, test1; their images are their own

The formats beyond COCO, RefCOCO, VQA v2 and NLVR2 are written where they are asked for (`FORMATS` in formats.py, each
with its own images but for those above). No two streams share a scene, nor do they with `write_pretraining`.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from datamodules.synthetic.chunks import chunks, workers
from datamodules.synthetic.core import core_jobs, write_core, write_scenes
from datamodules.synthetic.files import Record, WorldError, write_once
from datamodules.synthetic.formats import CORE, FORMATS, chosen_formats, write_format
from datamodules.synthetic.scene import REFERENCE_SIZE

VERSION = 3  # raise it when the same settings give other bytes


def write_world(
    root: Path,
    seed: int = 0,
    num_train: int = 20000,
    num_val: int = 500,
    num_test: int = 1000,
    image_size: int = REFERENCE_SIZE,
    num_workers: int = 2,
    formats: Sequence[str] = CORE,
) -> None:
    """Writes the world, or those of its formats that are not there yet.

    Args:
        root: the data root to be; absent, empty or this very world.
        seed: seed of everything.
        num_train: training scenes; NLVR2 has a pair for each two of them, with four statements.
        num_val: validation scenes of RefCOCO; NLVR2's dev has three pairs for each five of them.
        num_test: test scenes of COCO and VQA, and again as many of RefCOCO; NLVR2's test1 as its dev.
        image_size: side of the images in pixels.
        num_workers: processes; the bytes do not depend on it.
        formats: names of formats, or "all"; the default four are always written, and those that a format refers to.

    Raises:
        WorldError: `root` holds a world of other settings, or other files; a number is out of range; there is no such
            format.
    """
    numbers = {
        "num_train": num_train,
        "num_val": num_val,
        "num_test": num_test,
    }
    too_small = [f"{name} {number}" for name, number in numbers.items() if number < 1]
    if too_small:
        raise WorldError(
            f"a world needs at least one scene of each split, not {', '.join(too_small)}"
        )
    further = chosen_formats(formats)
    settings = {
        "seed": seed,
        **numbers,
        "image_size": image_size,
    }
    jobs = core_jobs(seed, num_train, num_val, num_test, image_size)
    with workers(num_workers) as pool:
        core = {
            "world": "all",
            "version": VERSION,
            **settings,
        }
        write_once(Path(root), core, partial(write_core, jobs=jobs, pool=pool))
        for name in further:
            write_format(Path(root), name, settings, pool)


def write_pretraining(
    root: Path,
    seed: int = 0,
    num_scenes: int = 20000,
    image_size: int = REFERENCE_SIZE,
    num_workers: int = 2,
) -> None:
    """Writes scenes for an encoder's pretraining as COCO instances, `coco/annotations/instances_train2017.json`.

    They come from a stream of their own, so that they share no scene with `write_world` of any seed.

    Raises:
        WorldError: `root` holds a world of other settings, or other files.
    """
    settings: Record = {
        "world": "pretraining",
        "version": VERSION,
        "seed": seed,
        "num_scenes": num_scenes,
        "image_size": image_size,
    }
    jobs = chunks(seed, "pretrain", num_scenes, image_size)
    with workers(num_workers) as pool:
        write_once(Path(root), settings, partial(write_scenes, jobs=jobs, pool=pool))


def main(arguments: list[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(
        description="Write the generated world, or scenes for an encoder's pretraining."
    )
    parser.add_argument("--root", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--pretraining",
        type=int,
        metavar="SCENES",
        help="only so many scenes for pretraining",
    )
    for name, default, text in (
        ("seed", 0, "seed of everything"),
        ("num-train", 20000, "training scenes"),
        ("num-val", 500, "validation scenes"),
        ("num-test", 1000, "test scenes"),
        ("image-size", REFERENCE_SIZE, "side of the images in pixels"),
        ("num-workers", 2, "processes"),
    ):
        parser.add_argument(
            f"--{name}",
            type=int,
            default=default,
            help=f"{text} (default: {default})",
        )
    parser.add_argument(
        "--formats",
        nargs="*",
        choices=(*CORE, *FORMATS, "all"),
        default=CORE,
        metavar="NAME",
        help="formats beside the default four (default: none)",
    )
    settings = vars(parser.parse_args(arguments))
    num_scenes = settings.pop("pretraining")
    if num_scenes is None:
        write_world(**settings)
    else:
        common = {name: settings[name] for name in ("root", "seed", "image_size", "num_workers")}
        write_pretraining(num_scenes=num_scenes, **common)


if __name__ == "__main__":
    main()
