"""Visual Genome: phrases that describe regions of an image.

https://homes.cs.washington.edu/~ranjay/visualgenome (CC BY 4.0)
Krishna et al., Visual Genome, IJCV 2017. Splits: https://github.com/jcjohnson/densecap, info/densecap_splits.json

    visual_genome/region_descriptions.json      (or below visual_genome/1.2/ or visual_genome/1.0/)
    visual_genome/image_data.json
    visual_genome/densecap_splits.json          {"train": [image ids], "val": [...], "test": [...]}
    visual_genome/VG_100K/2.jpg, visual_genome/VG_100K_2/1.jpg      the folder stands in the image's url

    image       {"image_id": 2, "width": 800, "height": 600, "coco_id": null, "flickr_id": null,
                 "url": "https://cs.stanford.edu/people/rak248/VG_100K/2.jpg"}
    v1.2        {"id": 2, "regions": [{"region_id": 1382, "image_id": 2, "phrase": "the clock is green in colour",
                 "x": 421, "y": 57, "width": 82, "height": 139}, ...]}            xywh, pixels
    v1.0        the same with "id" and "image" in place of "region_id" and "image_id"
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from datamodules.readers.files import inside, json_items
from datamodules.readers.official import Official, intact
from datamodules.readers.reader import Reader, coco_photo
from datamodules.readers.records import Form, Record, known_format, misfit, misplaced, name_of
from vista.data import Annotation, Size
from vista.geometry import clip_xywh

FOLDERS = ("visual_genome", "visual_genome/1.2", "visual_genome/1.0")
IMAGE = {
    "url": str, "height": object, "width": object, "image_id": int | None, "id": int | None, "coco_id": int | None,
    "flickr_id": int | None,
}  # fmt: skip
REGION = {
    "phrase": str, "x": object, "y": object, "width": object, "height": object, "region_id": int | None,
    "id": int | None, "image_id": int | None, "image": int | None,
}  # fmt: skip
SOURCE = "https://homes.cs.washington.edu/~ranjay/visualgenome/api.html"


@dataclass(slots=True, frozen=True)
class GenomeImage:
    """What `image_data.json` says of an image.

    Attributes:
        path: below the data root.
        size: (H, W) in pixels.
        coco_id: the id of the same image in COCO, which tells whether it belongs to a split of another dataset.
        flickr_id: that of the photograph on Flickr.
    """

    path: str
    size: Size
    coco_id: int | None
    flickr_id: int | None = None

    @property
    def numbers(self) -> dict[str, int | None]:
        """Its ids elsewhere, for `extra`."""
        return {"coco_id": self.coco_id} | ({"flickr_id": self.flickr_id} if self.flickr_id else {})

    def photo(self, image_id: int) -> tuple[str, ...]:
        """All names of its photograph; `image_id` is Visual Genome's own."""
        names = [genome_photo(image_id)]
        names += [coco_photo(self.coco_id)] if self.coco_id else []
        names += [f"flickr {self.flickr_id}"] if self.flickr_id else []
        return tuple(names)


def genome_photo(image_id: int) -> str:
    """The name of a photograph of Visual Genome."""
    return f"vg {image_id}"


def genome_images(reader: Reader) -> dict[int, GenomeImage]:
    """All images of Visual Genome by their id.

    Args:
        reader: any reader that needs them; its root is looked at.

    Raises:
        FileNotFoundError: `image_data.json` is missing.
    """
    images: dict[int, GenomeImage] = {}
    file = Official(reader, reader.file(*(f"{folder}/image_data.json" for folder in FOLDERS)))
    for record in file.records("", IMAGE):
        image_id = id_of(record, "image_id", "id")
        if image_id is None:
            reader.leave_out(record["url"], f"the image has no id in {file.path.name}")
            continue
        path = inside("/".join(["visual_genome", *record["url"].split("/")[-2:]]))
        size = file.size(record, image_id)
        if size is not None:
            numbers = record.get("coco_id"), record.get("flickr_id")
            images[image_id] = GenomeImage(path, size, *numbers)
    return images


def long_list(reader: Reader, form: Form, places: Iterable[str]) -> Iterator[Record]:
    """The records that have a form, of the first file there is, which is one long list and read piece by piece."""
    path = reader.file(*places)
    return (record for _, record in intact(reader, json_items(path, reader.source), form, path))


def id_of(record: Record, key: str, older: str) -> int | None:
    """A number that the versions of Visual Genome call differently."""
    number: int | None = record[key] if key in record else record.get(older)
    return number


class VisualGenomeReader(Reader):
    """One annotation per region: its phrase and its box.

    `extra`: `image_id`, `coco_id` (int or None), `flickr_id` where it is known. The id is the region's. `all` needs no
    file of splits.
    """

    name = "visual_genome"
    fields = frozenset({"expression", "boxes", "sizes"})
    splits = ("all", "train", "val", "test")
    source = SOURCE

    def _annotations(self) -> Iterator[Annotation]:
        images = genome_images(self)
        kept = None if self.split == "all" else self._split()
        places = [f"{folder}/region_descriptions.json" for folder in FOLDERS]
        for record in long_list(self, {"regions": [object]}, places):
            for region in record["regions"]:
                why = misfit(region, REGION)
                if why:
                    self.leave_out(name_of(region, 0), f"a region {why}")
                    continue
                image_id = id_of(region, "image_id", "image")
                region_id = id_of(region, "region_id", "id")
                if kept is not None and image_id not in kept:
                    continue
                if region_id is None or image_id is None or image_id not in images:
                    self.leave_out(region_id, f"image {image_id} is not in image_data.json")
                    continue
                image, phrase = images[image_id], region["phrase"].strip()
                box = clip_xywh([region[k] for k in ("x", "y", "width", "height")], image.size)
                if not phrase or box is None:
                    self.leave_out(
                        region_id,
                        "its box has no area inside the image" if phrase else "the phrase is empty",
                    )
                    continue
                yield Annotation(
                    id=str(region_id),
                    images=(image.path,),
                    sizes=(image.size,),
                    expression=phrase,
                    boxes=(box,),
                    extra={"image_id": image_id, **image.numbers},
                    photos=(image.photo(image_id),),
                )

    def _split(self) -> set[int]:
        """The images of the split."""
        file = Official(self, self.file("visual_genome/densecap_splits.json"))
        found = file.table().get(self.split)
        if misfit(found, [int]):
            why = f"it has no list of images {self.split!r}"
            raise misplaced(self, file.path, why, known_format(file.content))
        return set(found or ())
