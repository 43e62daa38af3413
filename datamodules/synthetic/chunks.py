"""The world's work in chunks: who draws which scenes, and what comes of them.

A chunk is a run of scenes of one stream (or of groups of scenes). Its images go to the disk, its records come back as
pieces of JSON text. Chunks have a fixed length and share nothing, so that their bytes do not depend on the number of
processes.
"""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2

from datamodules.synthetic.drawing import draw_kinds, draw_scene
from datamodules.synthetic.files import json_lines
from datamodules.synthetic.scene import Scene
from datamodules.synthetic.streams import crowd, generator

SCENES_PER_CHUNK = 250
GROUPS_PER_CHUNK = 25
GROUPED = ("nlvr2", "coseg", "groupwise_res")  # streams whose indices are groups of scenes


def any_number(index: int) -> int:
    """One to four objects for every scene, drawn by lot."""
    return 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """The scenes (groups) start..stop - 1 of the `total` of one stream."""

    seed: int
    stream: str
    start: int
    stop: int
    image_size: int
    total: int

    def scenes(self, number_of: Callable[[int], int] = any_number) -> Iterator[tuple[int, Scene]]:
        """(index, scene) of each; `number_of` gives a scene's number of objects, 0: one to four.

        The stream `train`, for which the choice is free, begins with few of them.
        """
        for index in range(self.start, self.stop):
            rng = generator(self.seed, self.stream, index)
            number = number_of(index)
            if self.stream == "train":
                number = 1 + index % crowd(index, self.total)
            yield index, draw_scene(rng, draw_kinds(rng, number), self.image_size)


@dataclass(frozen=True, slots=True)
class Pieces:
    """What comes of a chunk: `json_lines` of its records, by name."""

    stream: str
    json: dict[str, str]

    @classmethod
    def of(cls, chunk: Chunk, records: Mapping[str, Iterable[object]]) -> "Pieces":
        """The records of a chunk, by name, as JSON lines."""
        return cls(chunk.stream, {name: json_lines(some) for name, some in records.items()})


Work = Callable[[Path, Chunk], Pieces]


def chunks(
    seed: int,
    stream: str,
    number: int,
    image_size: int,
    total: int = 0,
) -> list[Chunk]:
    """Cuts the last `number` scenes (groups) of a stream, which has `total` of them, 0: so many, into chunks."""
    length = GROUPS_PER_CHUNK if stream.startswith(GROUPED) else SCENES_PER_CHUNK
    total = total or number
    starts = range(total - number, total, length)
    return [Chunk(seed, stream, i, min(i + length, total), image_size, total) for i in starts]


@contextmanager
def workers(number: int) -> Iterator[ProcessPoolExecutor | None]:
    """Fresh processes for `run`, started when there is work for them; None where one process does it all."""
    if number <= 1:
        yield None
        return
    # Not "fork": the caller may run threads (those of a training library), which do not survive it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(number, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield pool


def run(
    root: Path,
    jobs: Sequence[Chunk],
    pool: ProcessPoolExecutor | None,
    work: Work,
) -> list[Pieces]:
    """Does `work` for all chunks, below `root`, and returns their pieces in order."""
    if pool is None or len(jobs) <= 1:
        return [work(root, job) for job in jobs]
    return list(pool.map(partial(work, root), jobs))


def of_stream(pieces: Sequence[Pieces], stream: str) -> list[Pieces]:
    """The pieces of one stream, in order."""
    return [piece for piece in pieces if piece.stream == stream]


def column(pieces: Sequence[Pieces], name: str) -> list[str]:
    """The records of one name, chunk after chunk; chunks without such records are left out."""
    return [piece.json[name] for piece in pieces if piece.json.get(name)]


def record_lines(pieces: Sequence[Pieces], name: str) -> list[str]:
    """The records of one name, one by one, in JSON."""
    lines: list[str] = []
    for text in column(pieces, name):
        lines += text.split("\n")
    return lines
