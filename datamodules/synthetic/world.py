"""The whole generated world, in the official files of COCO, RefCOCO, VQA v2 and NLVR2, written once.

Run `python -m datamodules.synthetic.world --root data/world --num-train 20000`, or call `write_world`.

    scenes       images in coco/   what is written about them
    train        train2017         captions, instances, RefCOCO train, VQA train2014
    val          train2017         RefCOCO val
    refer_test   train2017         RefCOCO testA and testB
    test         val2017           captions, instances, VQA val2014
    nlvr2_...    (nlvr2/)          NLVR2 train, dev, test1; their images are their own

No two of these share a scene, nor do they with those of `write_pretraining`.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.synthetic import coco, nlvr2, refer, vqa
from datamodules.synthetic.chunks import FOLDERS, WITH_REFS, Chunk, Pieces, chunks, run
from datamodules.synthetic.files import write_once
from datamodules.synthetic.scene import REFERENCE_SIZE

VERSION = 1  # raise it when the same settings give other bytes
NLVR2_SPLITS = ("train", "dev", "test1")


def write_world(
    root: Path,
    seed: int = 0,
    num_train: int = 20000,
    num_val: int = 500,
    num_test: int = 1000,
    image_size: int = REFERENCE_SIZE,
    num_workers: int = 2,
) -> None:
    """Writes the world; returns at once where the same one is already there.

    Args:
        root: the data root to be; absent, empty or this very world.
        seed: seed of everything.
        num_train: training scenes; NLVR2 has a pair for each four of them.
        num_val: validation scenes of RefCOCO; NLVR2's dev has three pairs for each five of them.
        num_test: test scenes of COCO and VQA, and again as many of RefCOCO; NLVR2's test1 as its dev.
        image_size: side of the images in pixels.
        num_workers: processes; the bytes do not depend on it.

    Raises:
        ValueError: `root` holds a world of other settings, or other files; or a number is out of range.
    """
    numbers = {"num_train": num_train, "num_val": num_val, "num_test": num_test}
    if bad := [f"{name} {number}" for name, number in numbers.items() if number < 1]:
        raise ValueError(f"a world needs at least one scene of each split, not {', '.join(bad)}")
    streams = {"train": num_train, "val": num_val, "refer_test": num_test, "test": num_test}
    pairs = (num_train // 4, num_val * 3 // 5, num_test * 3 // 5)
    streams |= {f"nlvr2_{split}": nlvr2.num_sets(n) for split, n in zip(NLVR2_SPLITS, pairs, strict=True)}
    jobs = [job for stream, number in streams.items() for job in chunks(seed, stream, number, image_size)]
    settings = {"world": "all", "version": VERSION, "seed": seed, **numbers, "image_size": image_size}
    write_once(Path(root), settings, partial(_write_world, jobs=jobs, num_workers=num_workers))


def write_pretraining(
    root: Path, seed: int = 0, num_scenes: int = 20000, image_size: int = REFERENCE_SIZE, num_workers: int = 2
) -> None:
    """Writes scenes for an encoder's pretraining as COCO instances, `coco/annotations/instances_train2017.json`.

    They come from a stream of their own, so that they share no scene with `write_world` of any seed.

    Raises:
        ValueError: `root` holds a world of other settings, or other files.
    """
    settings = {"world": "pretraining", "version": VERSION, "seed": seed, "num_scenes": num_scenes}
    jobs = chunks(seed, "pretrain", num_scenes, image_size)
    write = partial(_write_pretraining, jobs=jobs, num_workers=num_workers)
    write_once(Path(root), {**settings, "image_size": image_size}, write)


def _write_pretraining(root: Path, jobs: list[Chunk], num_workers: int) -> None:
    _make_folders(root, jobs)
    _write_instances(root, "train2017", run(root, jobs, num_workers))


def _write_world(root: Path, jobs: list[Chunk], num_workers: int) -> None:
    _make_folders(root, jobs)
    pieces = run(root, jobs, num_workers)
    for stream, folder, subtype in (("train", "train2017", "train2014"), ("test", "val2017", "val2014")):
        own = [piece for piece in pieces if piece.stream == stream]
        _write_instances(root, folder, own)
        path = root / "coco" / "annotations" / f"captions_{folder}.json"
        coco.write_captions(path, _column(own, "images"), _column(own, "captions"))
        vqa.write_vqa(root, subtype, _column(own, "questions"), _column(own, "answers"))
    referred = [piece for piece in pieces if piece.stream in WITH_REFS]
    columns = (_column(referred, name) for name in ("refs", "refer_images", "instances"))
    refer.write_refcoco(root, *columns)
    for split in NLVR2_SPLITS:
        lines = _column([piece for piece in pieces if piece.stream == f"nlvr2_{split}"], "statements")
        (root / "nlvr2" / f"{split}.json").write_text("\n".join(lines) + "\n")


def _make_folders(root: Path, jobs: list[Chunk]) -> None:
    for job in jobs:
        if job.stream in FOLDERS:
            folders = {f"coco/{FOLDERS[job.stream]}"}
        else:
            split = job.stream.removeprefix("nlvr2_")
            folders = {nlvr2.image_folder(split, number) for number in range(job.start, job.stop)}
        for folder in folders:
            (root / folder).mkdir(parents=True, exist_ok=True)


def _write_instances(root: Path, folder: str, pieces: list[Pieces]) -> None:
    path = root / "coco" / "annotations" / f"instances_{folder}.json"
    coco.write_instances(path, _column(pieces, "images"), _column(pieces, "instances"))


def _column(pieces: list[Pieces], name: str) -> list[str]:
    return [piece.json[name] for piece in pieces]


def main(arguments: list[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Write the generated world, or scenes for an encoder's pretraining.")
    parser.add_argument("--root", type=Path, required=True, help="folder to write")
    parser.add_argument("--pretraining", type=int, metavar="SCENES", help="only so many scenes for pretraining")
    for name, default, text in (
        ("seed", 0, "seed of everything"),
        ("num-train", 20000, "training scenes"),
        ("num-val", 500, "validation scenes"),
        ("num-test", 1000, "test scenes"),
        ("image-size", REFERENCE_SIZE, "side of the images in pixels"),
        ("num-workers", 2, "processes"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default: {default})")
    chosen: dict[str, Any] = vars(parser.parse_args(arguments))
    scenes = chosen.pop("pretraining")
    if scenes is None:
        write_world(**chosen)
    else:
        common = {name: chosen[name] for name in ("root", "seed", "image_size", "num_workers")}
        write_pretraining(num_scenes=scenes, **common)


if __name__ == "__main__":
    main()
