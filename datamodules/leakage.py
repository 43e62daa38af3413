"""No test image is trained on: which images of one data set are test images of another.

tested, absent = images_tested(sources, read)   the scores that each photograph is behind
leaks = find_leaks(pictures(annotations), tested)
leaks.kept                                      [0, 1, 3, ...]: annotations whose images are behind no score
leaks.dropped                                   {"rec_refcoco_val": 17}: annotations that are behind it

Which photograph an image is, its reader says (`Annotation.photos`); its path decides where that says nothing.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datamodules.by_image import select
from datamodules.pictures import Pictures, pictures
from datamodules.source import LoadedSource, Source
from vista.data import Annotation

Read = Callable[[str, Source, str], Sequence[Annotation]]


class Tested:
    """Which scores photographs are behind.

    Attributes:
        names: of photographs, each once, in bytes, (T,).
        behind: for each score which of them it is measured on, bool (T,).
    """

    def __init__(self, names_of: Mapping[str, pa.ChunkedArray]) -> None:
        """Put together the names of the photographs of each score."""
        chunks = chain.from_iterable(names.chunks for names in names_of.values())
        self.names = pa.chunked_array(list(chunks), pa.binary()).unique()
        self.behind = {score: np.zeros(len(self.names), dtype=bool) for score in names_of}
        for score, names in names_of.items():
            self.behind[score][self.find(names)] = True

    def find(self, names: pa.ChunkedArray) -> np.ndarray:
        """Where each of some names stands in `names`, int (M,); -1: it is not tested on."""
        return pc.fill_null(pc.index_in(names, value_set=self.names), -1).to_numpy()


@dataclass(frozen=True)
class Leaks:
    """What of some annotations is tested on.

    Attributes:
        kept: the annotations whose images are behind no score, int (K,).
        dropped: how many others there are for each score.
        images: the paths that are behind some score, in bytes; one may stand twice.
    """

    kept: np.ndarray
    dropped: dict[str, int]
    images: pa.ChunkedArray


def find_leaks(shown: Pictures, tested: Tested) -> Leaks:
    """What of the annotations that show some pictures is tested on."""
    name = tested.find(shown.names)
    found = np.flatnonzero(name >= 0)
    name, image = name[found], shown.image_of[found]
    scene = shown.scene_of[image]
    samples = np.bincount(shown.scene, minlength=shown.num_scenes)  # of each scene
    dropped = {}
    for score, behind in tested.behind.items():
        number = int(samples[np.unique(scene[behind[name]])].sum())
        if number:
            dropped[score] = number
    clean = np.ones(shown.num_scenes, dtype=bool)
    clean[scene] = False
    return Leaks(np.flatnonzero(clean[shown.scene]), dropped, shown.images.take(pa.array(image)))


def unnamed(name: str, annotations: Sequence[Annotation]) -> str:
    """A sentence where the reader says nothing of its images, so that a test image may escape; else an empty one."""
    if not len(annotations) or annotations[0].photos:
        return ""
    what = "its reader does not say which photographs its images are"
    return f"{name}: {what}; only their paths are compared with those of other data sets"


def read_tested(
    sources: dict[str, Source], read: Read
) -> tuple[dict[str, Sequence[Annotation]], list[str]]:
    """Read all splits that are scored.

    Args:
        sources: by name.
        read: the annotations of a source's split; `FileNotFoundError` where its files are not there.

    Returns:
        the annotations behind each score, and a sentence for each split that is not there.
    """
    behind: dict[str, Sequence[Annotation]] = {}
    absent: list[str] = []
    for name, source in sources.items():
        for score, split in source.test.items():
            try:
                behind[score] = read(name, source, split)
            except FileNotFoundError as error:
                absent.append(f"{score}: {error}")
    return behind, absent


def images_tested(sources: dict[str, Source], read: Read) -> tuple[Tested, list[str]]:
    """Images of all splits that are scored, see `read_tested`.

    Returns:
        the scores that each is behind, and a sentence for each split that is not there.
    """
    behind, absent = read_tested(sources, read)
    for sentence in filter(None, map(unnamed, behind.keys(), behind.values())):
        warnings.warn(sentence, stacklevel=2)
    names_of = {score: pictures(annotations).names for score, annotations in behind.items()}
    return Tested(names_of), absent


def keep_clean(loaded: Iterable[LoadedSource], tested: Tested, absent: Iterable[str]) -> list[str]:
    """Leave out, in place, what is tested on.

    Returns:
        a sentence for each source that lost samples, and for each split whose images are not known.
    """
    notes = [
        f"not kept out of training, since its files are not there: {sentence}"
        for sentence in absent
    ]
    for source in loaded:
        number = len(source.annotations)
        notes += filter(None, [unnamed(source.name, source.annotations)])
        leaks = find_leaks(pictures(source.annotations), tested)
        source.annotations = select(source.annotations, leaks.kept)
        if leaks.dropped:
            scores = [f"{score} {count:,}" for score, count in sorted(leaks.dropped.items())]
            lost = number - len(leaks.kept)
            what = f"{lost:,} of {number:,} samples left out"
            why = f"their images are tested on ({', '.join(scores)})"
            notes.append(f"{source.name}: {what}, {why}")
    return notes
