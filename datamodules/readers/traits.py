"""What is known of the objects of an image: category, size, place, and colour and shape where somebody says so.

    a trait is a set of values that may hold: {"red"} is known, {"small", "medium"} undecided, every colour unknown

Sizes and places come from COCO's geometry, colours and shapes from Visual Genome's attributes of the same image, or
from a category's own name (`red circle`, in the generated world).

    visual_genome/attributes.json       [{"image_id": 1, "attributes": [{"names": ["clock"], "x": 421, "y": 91, "w": 79,
                                        "h": 339, "attributes": ["green", "tall"]}, ...]}, ...]     xywh, pixels
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from datamodules.readers.files import json_items
from datamodules.readers.reader import Reader, clip_xywh
from datamodules.readers.visual_genome import FOLDERS, genome_images
from vista.data import Annotation, Box, Size, box_iou

COLORS = frozenset((
    "red", "green", "blue", "yellow", "orange", "purple", "pink", "brown", "black", "white", "gray", "gold", "silver",
    "beige", "tan", "cyan", "teal", "magenta",
))  # fmt: skip
SHAPES = frozenset(("round", "square", "rectangular", "triangular", "oval", "cylindrical"))
SAME_WORD = {
    "grey": "gray",
    "golden": "gold",
    "blonde": "gold",
    "circular": "round",
    "rectangle": "rectangular",
}
# value: from, to; what lies between two values may be either.
SIZES = {
    "small": (0.0, 0.04),
    "medium": (0.06, 0.15),
    "large": (0.22, 1.01),
}  # share of the image's pixels
PLACES = {
    "left": (0.0, 0.3),
    "middle": (0.4, 0.6),
    "right": (0.7, 1.01),
}  # of the box's centre, share of the width
SAME_BOX = 0.6  # IoU of Visual Genome's box with COCO's, for one object of one name

Traits = dict[str, frozenset[str]]  # size, place, color, shape -> values that may hold


class Spoken(NamedTuple):
    """An object that Visual Genome speaks of: its names, its box (xyxy, pixels) and the words of its attributes."""

    names: set[str]
    box: Box
    words: set[str]


@dataclass(slots=True)
class Thing:
    """An object: category, traits, box (xyxy, pixels), segmentation, share of the image, and whether it is a crowd."""

    category: str
    traits: Traits
    box: Box
    segmentation: Any
    share: float
    crowd: bool


def things_of(image: Annotation, spoken: list[Spoken] | None) -> list[Thing]:
    """The objects of an image with their traits.

    Args:
        image: as the reader `coco_instances` gives it.
        spoken: what Visual Genome says, in pixels of this image; empty: it names no object, so every colour may hold;
            None: nobody speaks of colours.
    """
    (height, width), things, extra = image.sizes[0], [], image.extra
    objects = zip(
        extra["categories"], image.boxes, image.segmentations, extra["iscrowd"], strict=True
    )
    for category, box, segmentation, crowd in objects:
        color, _, noun = category.partition(" ")
        polygons = segmentation if isinstance(segmentation, list) else []
        share = polygon_area(polygons) / (height * width)
        traits = {
            "size": within(share, SIZES),
            "place": within((box[0] + box[2]) / 2 / width, PLACES),
        }
        if color in COLORS and noun:
            category, traits["color"] = noun, frozenset((color,))
        elif spoken is not None:
            traits |= said_of(category, box, spoken)
        things.append(
            Thing(
                category,
                traits,
                box,
                segmentation,
                share,
                bool(crowd) or isinstance(segmentation, dict),
            )
        )
    return things


def said_of(category: str, box: Box, spoken: list[Spoken]) -> Traits:
    """Colour and shape of an object, from what Visual Genome says of an object of the same name at the same place.

    A colour that nobody names may be any. A shape is named only where it strikes, so an unnamed one is no trait.
    """
    same = [
        each for each in spoken if category in each.names and box_iou(box, each.box) >= SAME_BOX
    ]
    words = {word for each in same for word in each.words}
    traits: Traits = {"color": frozenset(words & COLORS) or COLORS}
    return traits | ({"shape": frozenset(words & SHAPES)} if words & SHAPES else {})


def within(value: float, ranges: dict[str, tuple[float, float]]) -> frozenset[str]:
    """The names of the range that holds a value; between two ranges, of both."""
    names = list(ranges)
    for name, (low, high) in ranges.items():
        if low <= value < high:
            return frozenset((name,))
    above = next((k for k, name in enumerate(names) if value < ranges[name][0]), len(names) - 1)
    return frozenset(names[max(0, above - 1) : above + 1])


def polygon_area(polygons: list[list[float]]) -> float:
    """Pixels within flat polygons [x1, y1, x2, y2, ...], parts added up."""
    total = 0.0
    for flat in polygons:
        x, y = flat[::2], flat[1::2]
        total += abs(sum(x[k - 1] * y[k] - x[k] * y[k - 1] for k in range(len(y)))) / 2
    return total


def spoken_by_coco_id(reader: Reader) -> dict[int, tuple[Size, list[Spoken]]] | None:
    """What Visual Genome says of images that are COCO's too: its (H, W) of the image and its objects, by COCO's id.

    Returns:
        None where `attributes.json` is not below the root.
    """
    places = [f"{folder}/attributes.json" for folder in FOLDERS]
    if not any(reader.watch(reader.root / place).is_file() for place in places):
        return None
    images, found = genome_images(reader), {}
    for record in json_items(reader.file(*places)):
        image = images.get(record["image_id"] if "image_id" in record else record["id"])
        if image is not None and image.coco_id is not None:
            boxes = [
                clip_xywh([o.get(key, 0) for key in ("x", "y", "w", "h")], image.size)
                for o in record["attributes"]
            ]
            pairs = zip(record["attributes"], boxes, strict=True)
            found[image.coco_id] = (
                image.size,
                [Spoken(nouns(o), box, words_of(o)) for o, box in pairs if box],
            )
    return found


def nouns(record: dict[str, Any]) -> set[str]:
    """The names of an object, also in the singular."""
    names = {
        str(name).strip().lower()
        for name in record.get("names") or record.get("object_names") or ()
    }
    return names | {name.removesuffix("s") for name in names}


def words_of(record: dict[str, Any]) -> set[str]:
    """The single words of an object's attributes, each in one spelling."""
    said = {word for text in record.get("attributes") or () for word in str(text).lower().split()}
    return {SAME_WORD.get(word, word) for word in said}


def scaled(spoken: list[Spoken], size: Size, to: Size) -> list[Spoken]:
    """Objects of an image of (H, W) `size` with their boxes in pixels of the same image at another size."""
    x, y = to[1] / size[1], to[0] / size[0]
    return [
        each._replace(box=(b[0] * x, b[1] * y, b[2] * x, b[3] * y))
        for each in spoken
        for b in (each.box,)
    ]


def by_category(things: Iterable[Thing]) -> dict[str, list[Thing]]:
    """The objects of an image by their category."""
    grouped: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        grouped[thing.category].append(thing)
    return dict(grouped)
