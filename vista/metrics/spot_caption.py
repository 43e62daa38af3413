"""Spot captioning: a caption with a box after each phrase.

    "A man [12, 40, 300, 700] holds a dog [310, 420, 500, 690]": is each phrase's first box right?

Recall as ashkamath/mdetr `datasets/flickr_eval.py` @ea09acc: IoU >= 0.5 with any of the phrase's boxes, or with the box
around all of them (`merged`). There the phrases are given; here predicted phrases are linked to annotated ones by their
words, and an unlinked one is a miss. https://github.com/BryanPlummer/flickr30k_entities
"""

import re
from collections.abc import Mapping, Sequence

from vista.boxes import box_iou
from vista.data import Box, Prediction, Reference
from vista.metrics.caption import caption_scores, without_java
from vista.metrics.evaluator import CorpusEvaluator, percent
from vista.metrics.overlap import enclosing_box

TYPES = (
    "people",
    "clothing",
    "bodyparts",
    "animals",
    "vehicles",
    "instruments",
    "scene",
    "other",
)
MATCH_IOU = 0.5
_WORD = re.compile(r"\w+(?:['-]\w+)*")
_ARTICLES = frozenset(("a", "an", "the"))


def content_words(text: str) -> list[str]:
    """Lower-case words without articles."""
    return [word for word in _WORD.findall(text.lower()) if word not in _ARTICLES]


def spotted_phrases(phrases: Sequence[str], boxes: Sequence[Box]) -> list[tuple[list[str], Box]]:
    """The words before each box, with the phrase's first box.

    Args:
        phrases: the words since the box before; a box after `<bsep>` alone belongs to the phrase of the one before.
        boxes: xyxy in pixels, one for each of `phrases`.

    Returns:
        (words, first box) per phrase; none where the numbers of phrases and boxes differ.
    """
    if len(phrases) != len(boxes):
        return []
    spotted = []
    for phrase, box in zip(phrases, boxes, strict=True):
        words = content_words(phrase.replace("<bsep>", " "))
        if words:
            spotted.append((words, box))
    return spotted


def link_phrases(
    spotted: Sequence[tuple[list[str], Box]],
    phrases: Sequence[str],
) -> dict[int, Box]:
    """Give each annotated phrase the box of the predicted phrase with the same words.

    Where a predicted phrase starts is not marked in the text, so the longest annotated phrase that ends the words
    before the box is taken, each once.

    Args:
        spotted: (words before the box, box), in order.
        phrases: annotated phrases.

    Returns:
        box by index of the annotated phrase.
    """
    wanted = [content_words(phrase) for phrase in phrases]
    linked: dict[int, Box] = {}
    for before, box in spotted:
        ending = []
        for i, words in enumerate(wanted):
            ends_before = bool(words) and before[-len(words) :] == words
            if ends_before and i not in linked:
                ending.append(i)
        # Of equally long ones the first: phrases of the same words are linked in their order.
        if ending:
            linked[max(ending, key=lambda i: (len(wanted[i]), -i))] = box
    return linked


def phrase_hits(box: Box | None, truth: Sequence[Box]) -> tuple[bool, bool]:
    """Whether a predicted box (xyxy, pixels) hits any of a phrase's true boxes, and the box around all of them."""
    if box is None:
        return False, False
    best = max(box_iou(box, true) for true in truth)
    merged = box_iou(box, enclosing_box(truth))
    return best >= MATCH_IOU, merged >= MATCH_IOU


class SpotCaptionMetric(CorpusEvaluator):
    """Recall of phrase boxes and caption scores. Prediction: `answer`, `boxes`, and the `phrases` before them.

    Reference: `{"captions": [str, ...], "phrases": [{"phrase": str, "boxes": [xyxy, ...], "types": [str, ...]}, ...]}`;
    phrases without boxes are skipped. A malformed answer is an empty caption without boxes. Keys: the caption metrics,
    `recall_at_1`, `recall_at_1_merged`, `recall_at_1_{type}`.

    Args:
        metrics: caption metrics, names as in `vista.metrics.caption`.
        tokenizer: `auto`, `java` or `python`.
    """

    def __init__(
        self,
        metrics: Sequence[str] = ("CIDEr", "METEOR"),
        tokenizer: str = "auto",
    ) -> None:
        hits = [f"hit_{name}" for name in TYPES]
        counts = [f"phrases_{name}" for name in TYPES]
        super().__init__("hit", "hit_merged", "phrases", *hits, *counts)
        self.metrics = tuple(metrics)
        self.tokenizer = tokenizer

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Hits and phrases of one sentence, in all and by type; the caption is kept."""
        caption = "" if pred.malformed else pred.answer
        self.records.append((caption, tuple(ref["captions"])))
        phrases = [phrase for phrase in ref["phrases"] if phrase["boxes"]]
        spotted = [] if pred.malformed else spotted_phrases(pred.phrases, pred.boxes)
        linked = link_phrases(spotted, [phrase["phrase"] for phrase in phrases])
        added: dict[str, float] = dict.fromkeys(self.sums[2:], 0)
        for i, phrase in enumerate(phrases):
            hit, hit_merged = phrase_hits(linked.get(i), phrase["boxes"])
            added["hit_merged"] += hit_merged
            known_types = [name for name in phrase.get("types", ()) if name in TYPES]
            for suffix in ("", *(f"_{name}" for name in known_types)):
                added[f"hit{suffix}"] += hit
                added[f"phrases{suffix}"] += 1
        return added

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Caption scores of the whole set, shares of all phrases and of those of each type."""
        records = self.gathered()
        captions = [caption for caption, _ in records]
        references = [captions_of_image for _, captions_of_image in records]
        metrics, tokenizer = without_java(self.metrics, self.tokenizer, self.quick)
        scores = self.on_first(lambda: caption_scores(captions, references, metrics, tokenizer))
        scores["recall_at_1"] = percent(total["hit"], total["phrases"])
        scores["recall_at_1_merged"] = percent(total["hit_merged"], total["phrases"])
        for name in TYPES:
            scores[f"recall_at_1_{name}"] = percent(total[f"hit_{name}"], total[f"phrases_{name}"])
        return scores
