"""Hateful Memes: is a meme (an image and the text in it) hateful?

https://hatefulmemeschallenge.com (research only)
Kiela et al., The Hateful Memes Challenge, NeurIPS 2020.

    hateful_memes/train.jsonl, dev_seen.jsonl, dev_unseen.jsonl, test_seen.jsonl, test_unseen.jsonl
    hateful_memes/img/08291.png

    {"id": "42953", "img": "img/42953.png", "label": 0, "text": "what is written in the image"}

The first release names its files dev.jsonl and test.jsonl, and writes {"id": 8291, "img": "img/08291.png", ...}.
"""

from collections.abc import Iterator

from datamodules.readers.files import inside
from datamodules.readers.reader import Reader
from vista.data import Annotation

MEME = {"id": str | int, "img": str, "text": str}


class HatefulMemesReader(Reader):
    """One annotation per meme: `expression` is its text, `label` "1" (hateful) or "0". The id has five digits."""

    name = "hateful_memes"
    fields = frozenset({"expression", "label"})
    splits = ("train", "dev_seen", "dev_unseen", "test_seen", "test_unseen")
    source = "https://hatefulmemeschallenge.com"

    def _annotations(self) -> Iterator[Annotation]:
        names = (self.split, self.split.removesuffix("_seen"))
        for record in self.lines(MEME, *(f"hateful_memes/{name}.jsonl" for name in names)):
            written = str(record["id"])
            meme_id = f"{int(written):05d}" if written.isdecimal() else written
            if record.get("label") not in (0, 1):
                self.leave_out(meme_id, "it has no label")
                continue
            yield Annotation(
                id=meme_id,
                images=(inside(f"hateful_memes/{record['img']}"),),
                expression=record["text"],
                label=str(int(record["label"])),
                photos=((f"hateful_memes {record['img']}",),),
            )
