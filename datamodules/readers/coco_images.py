"""Where an image of COCO lies below a data root.

COCO's images were released twice under other names: `train2014/COCO_train2014_000000000009.jpg` is the same picture as
`train2017/000000000009.jpg`, and train2017 + val2017 = train2014 + val2014. Datasets built on the first release
(RefCOCO, VQAv2, POPE) are read with either release on the disk.
"""

from datamodules.readers.reader import Reader


class CocoImages:
    """Finds images by id; looks at the disk once per image.

    Args:
        reader: whose data root is looked at, and who watches the folders.
        split: the image's split in the first release: `train2014`, `val2014` or `test2015`.
        folders: other folders with the first release's names, tried before `coco/<split>`.
    """

    def __init__(self, reader: Reader, split: str, folders: tuple[str, ...] = ()) -> None:
        self.root = reader.root
        first = [f"{folder}/COCO_{split}_{{:012d}}.jpg" for folder in (*folders, f"coco/{split}")]
        second = (
            ["coco/train2017/{:012d}.jpg", "coco/val2017/{:012d}.jpg"]
            if split != "test2015"
            else []
        )
        self.places = first + second
        for place in self.places:
            reader.watch((self.root / place).parent)
        self.found: dict[int, str] = {}

    def path(self, image_id: int) -> str:
        """The image's path below the root; the first place looked at where the image is in none."""
        if image_id not in self.found:
            paths = [place.format(image_id) for place in self.places]
            self.found[image_id] = next(
                (path for path in paths if (self.root / path).is_file()), paths[0]
            )
        return self.found[image_id]
