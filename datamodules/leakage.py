"""No test image is trained on: which images of one data set are test images of another.

image_names(annotation)          {"coco 581857", "vg 2406646"}: they share a name with RefCOCO's, VQAv2's, ...
tested = images_tested(...)      {"coco 581857": {"rec_refcoco_val", "pope_random"}, ...}
leaks(annotation, tested)        {"rec_refcoco_val"}

Which photograph an image is, its reader says (`Annotation.photos`); its path decides where that says nothing.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np

from datamodules.by_image import scenes, select
from datamodules.source import LoadedSource, Source
from vista.data import Annotation

Tested = dict[str, set[str]]
Read = Callable[[str, Source, str], Sequence[Annotation]]


def names_of(annotation: Annotation) -> dict[str, set[str]]:
    """For the path of each image the names of its photograph, which do not depend on the data set it is used in.

    They are what the reader says; an image of which it says nothing is called by its path.
    """
    unknown = ((),) * len(annotation.images)
    photos = annotation.photos or unknown
    # A picture may have several names; two pictures are the same where they share any.
    pairs = zip(annotation.images, photos, strict=True)
    return {path: set(names) or {path} for path, names in pairs}


def image_names(annotation: Annotation) -> set[str]:
    """The names of all its images."""
    by_path = names_of(annotation)
    return set().union(*by_path.values())


def unnamed(name: str, annotations: Sequence[Annotation]) -> str:
    """A sentence where the reader says nothing of its images, so that a test image may escape; else an empty one."""
    if not len(annotations) or annotations[0].photos:
        return ""
    what = "its reader does not say which photographs its images are"
    return f"{name}: {what}; only their paths are compared with those of other data sets"


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
            if sentence := unnamed(score, annotations):
                warnings.warn(sentence, stacklevel=2)
            first, _ = scenes(annotations)
            names = map(image_names, first)
            for image in chain.from_iterable(names):
                tested[image].add(score)
    return dict(tested), absent


def leaks(annotation: Annotation, tested: Tested) -> set[str]:
    """The scores that a sample's images are behind."""
    names = image_names(annotation)
    return set().union(*(tested.get(name, ()) for name in names))


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
        source.annotations, dropped = clean(source.annotations, tested)
        if dropped:
            scores = [f"{score} {count:,}" for score, count in sorted(dropped.items())]
            lost = number - len(source.annotations)
            what = f"{lost:,} of {number:,} samples left out"
            why = f"their images are tested on ({', '.join(scores)})"
            notes.append(f"{source.name}: {what}, {why}")
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
    rows = np.flatnonzero(untested[scene])
    return select(annotations, rows), dict(dropped)
