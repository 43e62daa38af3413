"""Flickr30k Entities: captions whose phrases are linked to boxes.

https://github.com/BryanPlummer/flickr30k_entities (images: https://shannon.cs.illinois.edu/DenotationGraph)
Plummer et al., Flickr30k Entities, ICCV 2015.

    flickr30k_entities/train.txt, val.txt, test.txt         one image id a line
    flickr30k_entities/Sentences/1000092795.txt             five lines, five captions
    flickr30k_entities/Annotations/1000092795.xml           boxes of the chains
    flickr30k_entities/flickr30k-images/1000092795.jpg

    [/EN#1/people Two men] in [/EN#5/clothing green shirts] are standing in [/EN#9/scene a yard] .
    <object><name>1</name><bndbox><xmin>159</xmin><ymin>125</ymin><xmax>219</xmax><ymax>335</ymax></bndbox></object>

A chain may have several boxes, one box several chains; `scene` and `notvisual` (chain 0) phrases have none.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator

from datamodules.readers.files import inside, read_text, read_xml
from datamodules.readers.reader import Reader
from datamodules.readers.records import Record
from vista.data import Annotation, Box, InputError, MissingFileError, Size
from vista.geometry import clip_box
from vista.unsound import size_problem

CORNERS = ("xmin", "ymin", "xmax", "ymax")
PHRASE = re.compile(r"\[/EN#(\d+)((?:/\w+)+) ([^\]]*)\]")


class Flickr30kEntitiesReader(Reader):
    """One annotation per caption: the plain caption, and the boxes of its phrases.

    `extra["phrases"]`: in the order of the caption, {"phrase", "start" and "end" (its characters in the caption),
    "chain" (str), "types" (list of str), "boxes" (indices into `boxes`; empty where the phrase has none)}.
    The id is `<image id>_<line>`, lines from 0. Boxes are taken as written, as MDETR's reader takes them.
    """

    name = "flickr30k_entities"
    fields = frozenset({"captions", "boxes", "sizes"})
    splits = ("train", "val", "test")
    source = "https://github.com/BryanPlummer/flickr30k_entities"

    def _annotations(self) -> Iterator[Annotation]:
        for image_id in read_text(self.file(f"{self.name}/{self.split}.txt"), self.source).split():
            inside(image_id)
            try:
                text = read_text(self.file(f"{self.name}/Sentences/{image_id}.txt"), self.source)
                size, chains = self._boxes(image_id)
            except MissingFileError:
                raise
            except InputError as error:  # one image's files are damaged
                self.leave_out(image_id, str(error))
                continue
            # At line feeds alone: a caption may hold U+0085 and others that Python takes for the end of a line.
            lines = text.removesuffix("\n").split("\n")
            for number, line in enumerate(lines):
                caption, phrases = parse_caption(line)
                if not caption:
                    self.leave_out(f"{image_id}_{number}", "the caption is empty")
                    continue
                boxes = number_boxes(phrases, chains)
                yield Annotation(
                    id=f"{image_id}_{number}",
                    images=(f"{self.name}/flickr30k-images/{image_id}.jpg",),
                    sizes=(size,),
                    captions=(caption,),
                    boxes=tuple(boxes),
                    extra={"phrases": phrases},
                    photos=((f"flickr {image_id}",),),
                )

    def _boxes(self, image_id: str) -> tuple[Size, dict[str, list[Box]]]:
        """The image's (H, W), and the boxes of each chain, xyxy in pixels.

        Raises:
            InputError: the file of boxes is damaged, or says no size.
        """
        name = f"{self.name}/Annotations/{image_id}.xml"
        tree = read_xml(self.file(name), self.source)
        height, width = (number(tree.findtext(f"size/{side}", "")) for side in ("height", "width"))
        size = (int(height), int(width)) if height > 0 and width > 0 else (0, 0)
        if size_problem(size):
            raise InputError(f"{name} says no size of its image")
        chains: dict[str, list[Box]] = defaultdict(list)
        for element in tree.iter("object"):
            corners = element.find("bndbox")
            if corners is None:
                continue
            names = [name.text or "" for name in element.findall("name")]
            xyxy = [number(corners.findtext(key, "")) for key in CORNERS]
            box = clip_box(xyxy, size)
            if box is None:
                name = f"{image_id}#{'+'.join(names)}"
                self.leave_out(name, "its box has no area inside the image")
                continue
            for name in names:
                chains[name].append(box)
        return size, chains


def number(text: str) -> float:
    """The number that a text says; NaN where it says none, or none that is finite."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def parse_caption(line: str) -> tuple[str, list[Record]]:
    """A caption without its markup, and its phrases (see `Flickr30kEntities`) with no boxes yet."""
    caption, phrases, end = "", [], 0
    for match in PHRASE.finditer(line):
        caption += line[end : match.start()]
        start, end = len(caption), match.end()
        caption += match[3]
        types = match[2].strip("/").split("/")
        place = {"start": start, "end": len(caption)}
        phrases.append({"phrase": match[3], **place, "chain": match[1], "types": types})
    return (caption + line[end:]).rstrip(), phrases


def number_boxes(phrases: list[Record], chains: dict[str, list[Box]]) -> list[Box]:
    """Writes each phrase's indices into the list of boxes that is returned; a chain's boxes are listed once."""
    boxes: list[Box] = []
    numbers: dict[str, list[int]] = {}
    for phrase in phrases:
        chain = phrase["chain"]
        # Chain 0 is `notvisual`: nothing in the image, so it never has a box.
        if chain not in numbers:
            found = chains.get(chain, []) if chain != "0" else []
            numbers[chain] = list(range(len(boxes), len(boxes) + len(found)))
            boxes += found
        phrase["boxes"] = numbers[chain]
    return boxes
