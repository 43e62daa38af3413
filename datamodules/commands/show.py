"""`data show`: samples of a source on one page: image, prompt, target, the target drawn back over it, and its IoU.

    python main.py data show --config mine.yaml --source mine --n 20 --out mine.html

The page is one file: pictures are in it, shrunk, and no script is. What comes from the data set is text, never code.
"""

import html
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from datamodules.commands.check_task import spread
from datamodules.commands.configured import Setup
from datamodules.commands.options import DataOptions
from datamodules.source import LoadedSource, check_source, nearest
from vista.boxes import box_iou
from vista.data import Annotation, InputError, Mask, Prediction
from vista.draw import contact_sheet, draw_answer, fitted, jpeg
from vista.geometry import decode_segmentation
from vista.images import ImageError, load_image
from vista.printable import printable, say

MOST_SIDE = 640  # pixels of a picture
MOST_BYTES = 32 << 20  # of all pictures of a page
MOST_LETTERS = 2000  # of a text
STYLE = """
body { font: 15px sans-serif; margin: 2em auto; max-width: 60em; color: #222 }
article { border-top: 1px solid #ccc; padding: 1em 0 } img { max-width: 100%; vertical-align: top }
dt { font-weight: bold } dd { margin: 0 0 .5em; overflow-wrap: anywhere; white-space: pre-wrap }
"""


def show(setup: Setup, options: DataOptions) -> None:
    """Write the page.

    Raises:
        InputError: there is no such source or split, or nothing in it.
    """
    if options.source not in setup.sources:
        raise InputError(nearest(options.source, sorted(setup.sources), "source"))
    if options.n < 1:
        raise InputError(f"--n is {options.n}, and a page shows one sample or more")
    source = setup.sources[options.source]
    check_source(options.source, source)
    known = [source.train, source.val, *source.test.values()]
    split = options.split or next(filter(None, known), "")
    if not split:
        raise InputError(f"source {options.source} has no split; name one by --split")
    only = replace(source, train="", val="", test={options.source: split})
    (loaded,) = setup.splits.load({options.source: only}, "test")
    if not len(loaded.annotations):
        raise InputError(f"source {options.source} has no sample in split {split}")
    out = options.out or Path(f"{options.source}_{split}.html")
    title = f"{options.source}: {source.task} on {source.dataset} ({split})"
    found = str(loaded.annotations[0].extra.get("found", ""))
    number = f"{len(loaded.annotations):,} samples"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(title, [number, *filter(None, [found])], samples(loaded, options.n)))
    say(*filter(None, [found]), f"{title}, {number}: {out}")


def page(title: str, notes: list[str], parts: Iterator[str]) -> str:
    """An HTML document.

    Args:
        title: its title, as text.
        notes: paragraphs below it, as text.
        parts: HTML.
    """
    head = f'<!doctype html>\n<meta charset="utf-8">\n<title>{text(title)}</title>\n<style>{STYLE}</style>\n'
    said = "".join(f"<p>{text(note)}</p>\n" for note in notes)
    return f"{head}<h1>{text(title)}</h1>\n{said}{''.join(parts)}"


def text(value: str) -> str:
    """A text from outside as HTML, cut where it is long."""
    shown = value if len(value) <= MOST_LETTERS else f"{value[:MOST_LETTERS]}..."
    return html.escape(printable(shown))


def samples(source: LoadedSource, most: int) -> Iterator[str]:
    """Articles of samples that lie evenly over a source, until the page has enough bytes."""
    left = MOST_BYTES
    for annotation in spread(source.annotations, most):
        turns = source.task.turns(annotation) if source.scored else source.question(annotation)
        told = "\n".join(target for _, target in turns)
        prediction = source.task.parse(turns[-1][1], annotation) if source.scored else Prediction()
        picture = b64encode(jpeg(drawn(source, annotation, prediction))).decode()
        left -= len(picture)
        if left < 0:
            yield "<p>More would make the page too large.</p>\n"
            return
        rows = {
            "sample": f"{annotation.id}, {', '.join(annotation.images)}",
            "prompt": "\n".join(prompt for prompt, _ in turns),
            "target": told if source.scored else "hidden",
            "IoU of the target, read back": iou_of(annotation, prediction),
        }
        listed = "".join(f"<dt>{key}</dt><dd>{text(value)}</dd>" for key, value in rows.items())
        image = f'<img alt="" src="data:image/jpeg;base64,{picture}">'
        yield f"<article>{image}<dl>{listed}</dl></article>\n"


def drawn(source: LoadedSource, annotation: Annotation, prediction: Prediction) -> np.ndarray:
    """The images side by side with what the target says, uint8 (H, W, 3)."""
    pictures = []
    mask_per_image = len(annotation.images) > 1 and len(prediction.masks) == len(annotation.images)
    for k, path in enumerate(annotation.images):
        try:
            image = load_image(source.root / path)
        except ImageError as error:
            say(str(error))
            image = np.full((96, 96, 3), 128, np.uint8)
        masks = [prediction.masks[k]] if mask_per_image else prediction.masks if k == 0 else []
        # The image may have another size than is stated; regions are of the stated one.
        fitting = [mask for mask in masks if mask.shape == image.shape[:2]]
        boxes = prediction.boxes if k == 0 else []
        part = Prediction(masks=fitting, boxes=boxes)
        pictures.append(draw_answer(image, part, ""))
    sheet = contact_sheet(pictures, columns=4) if len(pictures) > 1 else pictures[0]
    return fitted(sheet, MOST_SIDE * min(2, len(pictures)))


def iou_of(annotation: Annotation, prediction: Prediction) -> str:
    """How much of the annotated regions the target keeps, or why there is nothing to compare."""
    if prediction.masks and annotation.segmentations:
        return f"{mask_iou(annotation, prediction.masks):.3f} (masks)"
    if prediction.boxes and annotation.boxes:
        best = [max(map(partial(box_iou, true), prediction.boxes)) for true in annotation.boxes]
        return f"{sum(best) / len(best):.3f} (boxes)"
    return "- (the target draws no region)"


def mask_iou(annotation: Annotation, masks: list[Mask]) -> float:
    """IoU of what the masks of a target and the annotated ones cover, the images' mean; 1 where both are empty."""
    several = len(annotation.images) > 1 and len(masks) == len(annotation.images)
    pairs = list(zip(annotation.segmentations, annotation.sizes, strict=False)) if several else []
    true = [decode_segmentation(found, size) for found, size in pairs]
    if not several:
        size = annotation.sizes[0]
        parts = [decode_segmentation(found, size) for found in annotation.segmentations]
        true, masks = [np.any(parts, axis=0)], [np.any(masks, axis=0)]
    shares = []
    for one, other in zip(true, masks, strict=False):
        union = np.count_nonzero(one | other)
        shares.append(np.count_nonzero(one & other) / union if union else 1.0)
    return float(np.mean(shares))
