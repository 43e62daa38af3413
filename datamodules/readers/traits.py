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
from typing import NamedTuple

from datamodules.readers.reader import Reader
from datamodules.readers.records import Form, Record
from datamodules.readers.visual_genome import FOLDERS, genome_images, id_of, long_list
from vista.boxes import box_iou
from vista.data import Annotation, Box, Segmentation, Size
from vista.geometry import clip_xywh

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
# value: from, to; what lies between two values may be either. Shares of the image's pixels:
SIZES = {
    "small": (0.0, 0.04),
    "medium": (0.06, 0.15),
    "large": (0.22, 1.01),
}
# Of the box's centre, as a share of the image's width:
PLACES = {"left": (0.0, 0.3), "middle": (0.4, 0.6), "right": (0.7, 1.01)}
WORDS: Form = (type(None), [object])
ATTRIBUTES: Form = {
    "image_id": int | None, "id": int | None,
    "attributes": [{"names": WORDS, "object_names": WORDS, "attributes": WORDS}],
}  # fmt: skip
SAME_BOX = 0.6  # IoU of Visual Genome's box with COCO's, for one object of one name

Traits = dict[str, frozenset[str]]  # size, place, color, shape -> values that may hold


class Described(NamedTuple):
    """An object that Visual Genome describes: its names, its box (xyxy, pixels) and the words of its attributes."""

    names: set[str]
    box: Box
    words: set[str]


@dataclass(slots=True)
class Thing:
    """An object: category, traits, box (xyxy, pixels), segmentation, share of the image, and whether it is a crowd."""

    category: str
    traits: Traits
    box: Box
    segmentation: Segmentation
    share: float
    crowd: bool


def things_of(image: Annotation, described: list[Described] | None) -> list[Thing]:
    """The objects of an image with their traits.

    Args:
        image: as the reader `coco_instances` gives it.
        described: by Visual Genome, in pixels of this image; empty: it names no object, so every colour may hold;
            None: nobody speaks of colours.
    """
    height, width = image.sizes[0]
    extra = image.extra
    things = []
    columns = extra["categories"], image.boxes, image.segmentations, extra["iscrowd"]
    for category, box, segmentation, iscrowd in zip(*columns, strict=True):
        color, _, noun = category.partition(" ")
        polygons = segmentation if isinstance(segmentation, list) else []
        share = polygon_area(polygons) / (height * width)
        middle = (box[0] + box[2]) / 2 / width
        traits = {
            "size": within(share, SIZES),
            "place": within(middle, PLACES),
        }
        # The generated world says the colour in the category: "red circle".
        if color in COLORS and noun:
            category = noun
            traits["color"] = frozenset((color,))
        elif described is not None:
            traits |= described_traits(category, box, described)
        crowd = bool(iscrowd) or isinstance(segmentation, dict)
        things.append(Thing(category, traits, box, segmentation, share, crowd))
    return things


def described_traits(category: str, box: Box, described: list[Described]) -> Traits:
    """Colour and shape of an object, from what Visual Genome says of an object of the same name at the same place.

    A colour that nobody names may be any. A shape is named only where it strikes, so an unnamed one is no trait.
    """
    words: set[str] = set()
    for each in described:
        if category in each.names and box_iou(box, each.box) >= SAME_BOX:
            words |= each.words
    traits: Traits = {"color": frozenset(words & COLORS) or COLORS}
    shapes = frozenset(words & SHAPES)
    if shapes:
        traits["shape"] = shapes
    return traits


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
        x = flat[::2]
        y = flat[1::2]
        doubled = sum(x[k - 1] * y[k] - x[k] * y[k - 1] for k in range(len(y)))
        total += abs(doubled) / 2
    return total


def objects_by_coco_id(reader: Reader) -> dict[int, tuple[Size, list[Described]]] | None:
    """What Visual Genome says of images that are COCO's too: its (H, W) of the image and its objects, by COCO's id.

    Returns:
        None where `attributes.json` is not below the root.
    """
    places = [f"{folder}/attributes.json" for folder in FOLDERS]
    if not any(reader.watch(reader.root / place).is_file() for place in places):
        return None
    images = genome_images(reader)
    found = {}
    for record in long_list(reader, ATTRIBUTES, places):
        number = id_of(record, "image_id", "id")
        image = None if number is None else images.get(number)
        if image is not None and image.coco_id is not None:
            described = described_objects(record["attributes"], image.size)
            found[image.coco_id] = image.size, described
    return found


def described_objects(records: Iterable[Record], size: Size) -> list[Described]:
    """The objects of an image of (H, W) whose boxes have an area inside it."""
    objects = []
    for record in records:
        xywh = [record.get(key, 0) for key in ("x", "y", "w", "h")]
        box = clip_xywh(xywh, size)
        if box is not None:
            objects.append(Described(nouns(record), box, words_of(record)))
    return objects


def nouns(record: Record) -> set[str]:
    """The names of an object, also in the singular."""
    given = record.get("names") or record.get("object_names") or ()
    names = {str(name).strip().lower() for name in given}
    return names | {name.removesuffix("s") for name in names}


def words_of(record: Record) -> set[str]:
    """The single words of an object's attributes, each in one spelling."""
    attributes = record.get("attributes") or ()
    words = " ".join(map(str, attributes)).lower().split()
    return {SAME_WORD.get(word, word) for word in words}


def scaled(described: list[Described], size: Size, to: Size) -> list[Described]:
    """Objects of an image of (H, W) `size` with their boxes in pixels of the same image at another size."""
    x = to[1] / size[1]
    y = to[0] / size[0]
    objects = []
    for each in described:
        x0, y0, x1, y1 = each.box
        box = (x0 * x, y0 * y, x1 * x, y1 * y)
        objects.append(each._replace(box=box))
    return objects


def by_category(things: Iterable[Thing]) -> dict[str, list[Thing]]:
    """The objects of an image by their category."""
    grouped: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        grouped[thing.category].append(thing)
    return dict(grouped)
