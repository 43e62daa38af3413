"""What the world needs to know of an official format beyond the four that are always there."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules.synthetic.chunks import Chunk, Pieces, Work, chunks
from datamodules.synthetic.scene import Scene


@dataclass(frozen=True, slots=True)
class Format:
    """One format; its files are below a folder of its name, except images of COCO.

    Attributes:
        streams: stream -> (which number of scenes it follows, "num_train", ..., and its share of that number).
        draw: draws a chunk of a stream below the format's folder and returns its records.
        write: writes the files below the format's folder from all pieces.
        texts: everything that the format may say of a scene of four objects, for a vocabulary.
        needs: other formats that its files refer to.
        version: raised when the same settings give other bytes.
    """

    streams: Mapping[str, tuple[str, float]]
    draw: Work
    write: Callable[[Path, Sequence[Pieces]], None]
    texts: Callable[[Scene, random.Random], list[str]]
    needs: tuple[str, ...] = ()
    version: int = 1

    def jobs(self, settings: Mapping[str, int]) -> list[Chunk]:
        """The chunks of all streams, each of at least one scene (group).

        Args:
            settings: `seed`, `image_size`, and the numbers of scenes that `streams` names.
        """
        seed = settings["seed"]
        image_size = settings["image_size"]
        jobs: list[Chunk] = []
        for stream, (name, share) in self.streams.items():
            number = max(1, int(share * settings[name]))
            # A format may speak of the last training scenes only: how crowded one is depends on how many there are.
            total = settings["num_train"] if stream == "train" else number
            jobs += chunks(seed, stream, number, image_size, total)
        return jobs
