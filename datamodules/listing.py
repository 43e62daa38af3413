"""Which images are there: folders are listed, once each, and not asked for every file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datamodules.compiled import decode, encode
from vista.shards import names_in


class Listing:
    """The files of folders as they were when an image in each was first asked for."""

    def __init__(self) -> None:
        self._files: dict[tuple[Path, bytes], pa.Array] = {}

    def absent(self, images: pa.ChunkedArray, root: Path) -> np.ndarray:
        """Which of the paths below a root, in bytes (I,), are no files, bool (I,)."""
        there = [self._of(root, folder) for folder in sorted(folders_of(images))]
        files = pa.chunked_array(there, pa.binary()).combine_chunks()
        return ~pc.is_in(images, value_set=files).to_numpy()

    def _of(self, root: Path, folder: bytes) -> pa.Array:
        """The paths of a folder's files; none where it is not there."""
        if (root, folder) not in self._files:
            names = names_in(root / decode(folder))
            start = folder and folder + b"/"
            files = [start + encode(name) for name in names]
            self._files[root, folder] = pa.array(files, pa.binary())
        return self._files[root, folder]


def folders_of(images: pa.ChunkedArray) -> set[bytes]:
    """The folders of paths; empty for one without."""
    folders: set[bytes] = set()
    # Chunk by chunk: a path in two pieces takes more room than the path.
    for chunk in images.chunks:
        pieces = pc.split_pattern(chunk, "/", max_splits=1, reverse=True)
        alone = pc.equal(pc.list_value_length(pieces), 1)
        found = pc.if_else(alone, b"", pc.list_element(pieces, 0))
        folders.update(found.unique().to_pylist())
    return folders
