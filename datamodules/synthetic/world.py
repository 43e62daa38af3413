"""The whole generated world, written once.

    python -m datamodules.synthetic.world --root data/world --num-train 20000
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2

from datamodules.synthetic import coco
from datamodules.synthetic.files import json_lines, save_image, write_once
from datamodules.synthetic.scene import REFERENCE_SIZE, Scene, draw_kinds, draw_scene, generator

CHUNK = 250  # scenes that one process works on; a constant, so that the bytes do not depend on the number of processes
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Chunk:
    """The scenes start..stop - 1 of one stream."""

    seed: int
    stream: str
    start: int
    stop: int
    image_size: int

    def scenes(self) -> Iterator[tuple[int, Scene]]:
        """(index, scene) of each."""
        for index in range(self.start, self.stop):
            rng = generator(self.seed, self.stream, index)
            yield index, draw_scene(rng, draw_kinds(rng), self.image_size)


def chunks(seed: int, stream: str, count: int, image_size: int) -> list[Chunk]:
    """Cuts the first `count` scenes of a stream into chunks."""
    return [Chunk(seed, stream, i, min(i + CHUNK, count), image_size) for i in range(0, count, CHUNK)]


def run(work: Callable[[Chunk], Result], jobs: Sequence[Chunk], num_workers: int) -> list[Result]:
    """The results of all jobs, in their order; with more than one worker in fresh processes."""
    if num_workers <= 1 or len(jobs) <= 1:
        return [work(job) for job in jobs]
    # Not "fork": the caller may run threads (a training library's), which do not survive one.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        return list(pool.map(work, jobs))


def write_pretraining(
    root: Path, seed: int = 0, num_scenes: int = 20000, image_size: int = REFERENCE_SIZE, num_workers: int = 2
) -> None:
    """Writes scenes for an encoder's pretraining as COCO instances, `coco/annotations/instances_train2017.json`.

    They come from a stream of their own ("pretrain"), so they share no scene with `write_world` of the same seed.

    Raises:
        ValueError: `root` holds a world with other settings, or other files.
    """
    settings = {"world": "pretraining", "seed": seed, "num_scenes": num_scenes, "image_size": image_size}
    jobs = chunks(seed, "pretrain", num_scenes, image_size)
    write_once(root, settings, partial(_write_pretraining, jobs=jobs, num_workers=num_workers))


def _write_pretraining(root: Path, jobs: Sequence[Chunk], num_workers: int) -> None:
    (root / "coco" / "train2017").mkdir(parents=True)
    pieces = run(partial(_pretraining_chunk, root), jobs, num_workers)
    images, annotations = (list(column) for column in zip(*pieces, strict=True))
    coco.write_instances(root / "coco" / "annotations" / "instances_train2017.json", images, annotations)


def _pretraining_chunk(root: Path, chunk: Chunk) -> tuple[str, str]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, scene in chunk.scenes():
        number = coco.image_id(chunk.stream, index)
        save_image(root / "coco" / "train2017" / f"{number:012d}.jpg", scene.image)
        images.append(coco.image_record(number, "train2017", chunk.image_size))
        annotations.extend(coco.instance_records(scene, number))
    return json_lines(images), json_lines(annotations)
