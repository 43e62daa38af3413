"""The world's work in chunks: who draws which scenes, and what comes of them.

A chunk is a run of scenes of one stream (or of sets, for NLVR2). Its images go to the disk, its records come back as
pieces of JSON text. Chunks have a fixed length and share nothing, so that their bytes do not depend on the number of
processes.
"""

import multiprocessing
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from datamodules.synthetic import coco, nlvr2, refer
from datamodules.synthetic.captions import captions
from datamodules.synthetic.files import json_lines, save_image
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.questions import Quota, questions
from datamodules.synthetic.scene import Scene, draw_kinds, draw_scene, generator
from datamodules.synthetic.vqa import vqa_records

SCENES_PER_CHUNK = 250
SETS_PER_CHUNK = 25
# Where a stream's images go. As in reality, RefCOCO's val and test images are COCO training images.
FOLDERS = {
    "train": "train2017",
    "val": "train2017",
    "refer_test": "train2017",
    "test": "val2017",
    "pretrain": "train2017",
}
WITH_TEXT = ("train", "test")  # streams that have captions and questions
WITH_REFS = ("train", "val", "refer_test")


@dataclass(frozen=True, slots=True)
class Chunk:
    """The scenes (sets) start..stop - 1 of one stream."""

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


@dataclass(frozen=True, slots=True)
class Pieces:
    """What comes of a chunk: `json_lines` of its records, by name."""

    stream: str
    json: dict[str, str]


def chunks(seed: int, stream: str, number: int, image_size: int) -> list[Chunk]:
    """Cuts the first `number` scenes (sets) of a stream into chunks."""
    length = SETS_PER_CHUNK if stream.startswith("nlvr2") else SCENES_PER_CHUNK
    return [Chunk(seed, stream, i, min(i + length, number), image_size) for i in range(0, number, length)]


def run(root: Path, jobs: Sequence[Chunk], num_workers: int) -> list[Pieces]:
    """Does all chunks, in fresh processes if there are several workers, and returns their pieces in order.

    The folders of the images must be there.
    """
    if num_workers <= 1 or len(jobs) <= 1:
        return [_work(root, job) for job in jobs]
    # Not "fork": the caller may run threads (those of a training library), which do not survive it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        return list(pool.map(partial(_work, root), jobs))


def _work(root: Path, chunk: Chunk) -> Pieces:
    if chunk.stream.startswith("nlvr2"):
        return _draw_sets(root, chunk)
    records: dict[str, list[Any]] = defaultdict(list)
    quota = Quota()
    folder = FOLDERS[chunk.stream]
    for index, scene in chunk.scenes():
        number = coco.image_id(chunk.stream, index)
        rng = wording(chunk.seed, chunk.stream, index)
        save_image(root / "coco" / folder / f"{number:012d}.jpg", scene.image)
        records["images"].append(coco.image_record(number, folder, chunk.image_size))
        records["instances"] += coco.instance_records(scene, number)
        if chunk.stream in WITH_TEXT:
            records["captions"] += coco.caption_records(captions(scene, rng), number)
            asked, answered = vqa_records(questions(scene, rng, quota), number)
            records["questions"] += asked
            records["answers"] += answered
        if chunk.stream in WITH_REFS:
            name = refer.file_name(number)
            records["refer_images"].append(coco.image_record(number, "train2014", chunk.image_size, name))
            records["refs"] += refer.ref_records(scene, number, refer.split_of(chunk.stream, index), rng)
    return Pieces(chunk.stream, {name: json_lines(lines) for name, lines in records.items()})


def _draw_sets(root: Path, chunk: Chunk) -> Pieces:
    split = chunk.stream.removeprefix("nlvr2_")
    records: list[dict[str, Any]] = []
    for number in range(chunk.start, chunk.stop):
        records += nlvr2.write_set(root, chunk.seed, split, number, chunk.image_size)
    return Pieces(chunk.stream, {"statements": json_lines(records)})
