"""No test image is trained on: which images of one data set are test images of another.

image_names(annotation)          {"coco 581857"}, the same for RefCOCO, VQAv2, Visual Genome, ...
tested = images_tested(...)      {"coco 581857": {"rec_refcoco_val", "pope_random"}, ...}
leaks(annotation, tested)        {"rec_refcoco_val"}
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np

from datamodules.by_image import scenes, select
from datamodules.compiled import NUMBERS
from datamodules.source import LoadedSource, Source
from vista.data import Annotation

# Releases and folders of one picture: COCO 2014 and 2017, Visual Genome and Visual7W, Flickr30k.
NAMES = (
    ("coco", re.compile(r"^(?:coco|refer)/.*?(\d{12})\.\w+$")),
    ("flickr", re.compile(r"/flickr30k-images/(\d+)\.\w+$")),
    ("vg", re.compile(r"(?:/VG_100K(?:_2)?/|/v7w_)(\d+)\.\w+$")),
)
Tested = dict[str, set[str]]
Read = Callable[[str, Source, str], Sequence[Annotation]]


def names_of(annotation: Annotation) -> dict[str, set[str]]:
    """For the path of each image the names that do not depend on the data set it is used in.

    An image of Visual Genome that is also one of COCO's is called by COCO's number (`extra["coco_id"]`, from Visual
    Genome's own table), any other one by its own, and an image of neither by its path. A photograph has its number on
    Flickr for another name, where a data set tells it (`extra["flickr_id"]`; images of Flickr30k are called by it).
    """
    coco_id, flickr_id = (annotation.extra.get(key) for key in NUMBERS)
    more = {f"flickr {flickr_id}"} if flickr_id else set()
    return {
        path: {f"coco {coco_id}" if coco_id else _name(path), *more} for path in annotation.images
    }


def image_names(annotation: Annotation) -> set[str]:
    """The names of all its images."""
    return set().union(*names_of(annotation).values())


def _name(path: str) -> str:
    for kind, pattern in NAMES:
        if match := pattern.search(path):
            return f"{kind} {int(match[1])}"
    return path


def images_tested(sources: dict[str, Source], read: Read) -> tuple[Tested, list[str]]:
    """Images of all splits that are scored.

    Args:
        sources: by name.
        read: the annotations of a source's split; `FileNotFoundError` where its files are not there.

    Returns:
        the scores that each image is behind, and a sentence for each split that is not there.
    """
    tested: Tested = defaultdict(set)
    absent: list[str] = []
    for name, source in sources.items():
        for score, split in source.test.items():
            try:
                annotations = read(name, source, split)
            except FileNotFoundError as error:
                absent.append(f"{score}: {error}")
                continue
            first, _ = scenes(annotations)
            for image in chain.from_iterable(map(image_names, first)):
                tested[image].add(score)
    return dict(tested), absent


def leaks(annotation: Annotation, tested: Tested) -> set[str]:
    """The scores that a sample's images are behind."""
    return set().union(*(tested.get(image, ()) for image in image_names(annotation)))


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
        source.annotations, dropped = clean(source.annotations, tested)
        if dropped:
            scores = [f"{score} {count:,}" for score, count in sorted(dropped.items())]
            lost = number - len(source.annotations)
            what = f"{lost:,} of {number:,} samples left out"
            notes.append(f"{source.name}: {what}, their images are tested on ({', '.join(scores)})")
    return notes


def clean(
    annotations: Sequence[Annotation], tested: Tested
) -> tuple[Sequence[Annotation], dict[str, int]]:
    """The samples whose images are behind no score, and how many others there are for each score.

    Of samples with the same images only the first is looked at.
    """
    first, scene = scenes(annotations)
    scores_of = [leaks(annotation, tested) for annotation in first]  # of each scene
    samples = np.bincount(scene, minlength=len(scores_of)).tolist()  # of each scene
    dropped: dict[str, int] = defaultdict(int)
    for scores, number in zip(scores_of, samples, strict=True):
        for score in scores:
            dropped[score] += number
    untested = np.array([not scores for scores in scores_of], dtype=bool)  # (S,)
    return select(annotations, np.flatnonzero(untested[scene])), dict(dropped)
