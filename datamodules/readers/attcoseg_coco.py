"""AttCoSeg out of COCO's instances and Visual Genome's attributes: pairs that share an attribute, among negatives.

The paper's own list (Sec. 4 of VistaLLM) is made of group-wise RES and not public, nor is that data without a request.
This builder makes samples of the same form from what everybody can download: see coco.py and visual_genome.py for the
files, traits.py for the attributes (size, place, and colour and shape where visual_genome/attributes.json is there).

**A positive** pair are two images that both show exactly one object of a category, no crowd and no speck, and the two
objects have a known trait in common. Nothing else that the two images show may have one.

**A negative** is an image that is known to share nothing: for each category that it and another image of the sample
both show, every trait of every object of the one differs from that of every object of the other. What is not known
may be shared, so such an image is no negative: an object between two sizes or places has both; an object of which
Visual Genome names no colour may have any; a crowd has everything. That an image does not show a category is known,
since COCO's 80 categories are annotated in all images; what is none of them does not count. Where one is found, the
first negative shows the pair's category with all traits different.
"""

import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from datamodules.readers.coco import SOURCE, CocoInstancesReader
from datamodules.readers.coseg_groups import held_out
from datamodules.readers.reader import Reader
from datamodules.readers.traits import Thing, by_category, objects_by_coco_id, scaled, things_of
from vista.data import Annotation, InputError, Size

LEAST = 0.01  # share of the image that the pair's object covers
TRIES = 40  # images looked at for each negative
CROWD = ("crowd", "")  # stands for every trait


@dataclass(slots=True)
class Scene:
    """An image: its id, path, photograph, (H, W), its objects by category, and all traits that those may have."""

    id: str
    path: str
    photo: tuple[str, ...]
    size: Size
    things: dict[str, list[Thing]]
    traits: dict[str, frozenset[tuple[str, str]]]


class AttCoSegCocoReader(Reader):
    """As the reader `attcoseg`: `segmentations` one per image, [] in the negatives; `expression`: the category.

    `extra`: `pair` (numbers of the two images, from 1, ascending), `present` (bool per image), `shared` (the traits in
    common, e.g. {"size": "large"}). An image is in one pair of a category at most. The id is `<category>_<i>_<j>`.

    Args:
        root: the data root.
        split: one of `splits`.
        num_images: images in a sample; two of them are the pair.
        exclude: images that are never used beside those of `held_out.txt` (see coseg_groups.py).
        seed: of pairs, negatives and their order.
    """

    name = "attcoseg_coco"
    fields = frozenset({"expression", "segmentations", "sizes"})
    splits = ("train2017", "val2017", "train2014", "val2014")
    source = SOURCE

    def __init__(
        self,
        root: Path | str,
        split: str,
        num_images: int = 4,
        exclude: Collection[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(root, split)
        if num_images < 3:
            raise InputError(f"a sample has three images at least, not {num_images}")
        self.num_images, self.seed, self.exclude = num_images, seed, frozenset(exclude)

    def _annotations(self) -> Iterator[Annotation]:
        images = list(self._images())
        showing: dict[str, list[Scene]] = defaultdict(list)
        for image in images:
            for category in image.things:
                showing[category].append(image)
        for category in sorted(showing):
            rng = random.Random(f"{self.seed} {category}")
            for pair in pairs(category, showing[category], rng):
                negatives = choose_negatives(
                    category, pair, showing[category], images, self.num_images - 2, rng
                )
                if len(negatives) == self.num_images - 2:
                    yield sample(category, pair, negatives, rng)

    def _images(self) -> Iterator[Scene]:
        named = objects_by_coco_id(self)
        reader, held = CocoInstancesReader(self.root, self.split), held_out(self) | self.exclude
        for image in reader:
            if image.id in held:
                continue
            objects = None
            if named is not None:
                other_size, of_genome = named.get(int(image.id), (image.sizes[0], []))
                objects = scaled(of_genome, other_size, image.sizes[0])
            things = by_category(things_of(image, objects))
            traits = {category: possible_traits(found) for category, found in things.items()}
            path, photo, size = image.images[0], image.photos[0], image.sizes[0]
            yield Scene(image.id, path, photo, size, things, traits)
        self.problems += reader.problems
        self.watched |= reader.watched


def possible_traits(things: list[Thing]) -> frozenset[tuple[str, str]]:
    """Every (trait, value) that some object may have; a crowd has `CROWD` alone."""
    if any(thing.crowd for thing in things):
        return frozenset((CROWD,))
    possible: set[tuple[str, str]] = set()
    for thing in things:
        for kind, values in thing.traits.items():
            possible |= {(kind, value) for value in values}
    return frozenset(possible)


def may_share(one: Scene, other: Scene, but: str = "") -> bool:
    """Whether two images may show objects of one category with a trait in common, a category `but` aside."""
    for category in one.traits.keys() & other.traits.keys() - {but}:
        ours, theirs = one.traits[category], other.traits[category]
        if CROWD in ours or CROWD in theirs or not ours.isdisjoint(theirs):
            return True
    return False


def shared_traits(one: Thing, other: Thing) -> dict[str, str]:
    """The known traits that two objects have in common."""
    kinds = one.traits.keys() & other.traits.keys()
    common = {
        kind: one.traits[kind] for kind in sorted(kinds) if one.traits[kind] == other.traits[kind]
    }
    return {kind: next(iter(values)) for kind, values in common.items() if len(values) == 1}


def pairs(
    category: str, images: Sequence[Scene], rng: random.Random
) -> Iterator[tuple[Scene, Scene]]:
    """Positive pairs of a category; each image waits under its known traits for one that shares any of them."""
    waiting: dict[tuple[str, str], list[Scene]] = defaultdict(list)
    paired: set[str] = set()
    for image in rng.sample(images, len(images)):
        (thing, *more) = image.things[category]
        if more or thing.crowd or thing.share < LEAST:
            continue
        known = [(k, next(iter(v))) for k, v in sorted(thing.traits.items()) if len(v) == 1]
        rng.shuffle(known)
        candidates = chain.from_iterable(waiting[trait][-TRIES:] for trait in known)
        partner = next(
            (o for o in candidates if o.id not in paired and not may_share(image, o, but=category)),
            None,
        )
        if partner is not None:
            paired |= {image.id, partner.id}
            yield partner, image
        else:
            for trait in known:
                waiting[trait].append(image)


def choose_negatives(
    category: str,
    pair: tuple[Scene, Scene],
    same: Sequence[Scene],
    images: Sequence[Scene],
    count: int,
    rng: random.Random,
) -> list[Scene]:
    """Images that share nothing with the pair nor with each other; fewer than `count` where not enough are found."""
    chosen: list[Scene] = []
    # One of the pair's category is enough: the others are drawn from all images.
    for pool, wanted in ((same, 1), (images, count)):
        for _ in range(TRIES * wanted):
            if len(chosen) == wanted:
                break
            image = pool[rng.randrange(len(pool))]
            others = (*pair, *chosen)
            if not image.things or any(image.id == other.id for other in others):
                continue
            if not any(may_share(image, other) for other in others):
                chosen.append(image)
    return chosen


def sample(
    category: str, pair: tuple[Scene, Scene], negatives: list[Scene], rng: random.Random
) -> Annotation:
    """One sample, its images in random order."""
    images = [*pair, *negatives]
    rng.shuffle(images)
    one, other = (image.things[category][0] for image in pair)
    present = [image in pair for image in images]
    masks = [image.things[category][0].segmentation if image in pair else [] for image in images]
    return Annotation(
        id=f"{category}_{pair[0].id}_{pair[1].id}",
        images=tuple(image.path for image in images),
        sizes=tuple(image.size for image in images),
        expression=category,
        segmentations=tuple(masks),
        extra={
            "pair": [number for number, found in enumerate(present, start=1) if found],
            "present": present,
            "shared": shared_traits(one, other),
        },
        photos=tuple(image.photo for image in images),
    )
