"""Spot captioning: a caption with a box after each phrase.

    "A man [12, 40, 300, 700] holds a dog [310, 420, 500, 690]": is each phrase's first box right?

Recall as ashkamath/mdetr `datasets/flickr_eval.py` @ea09acc: IoU >= 0.5 with any of the phrase's boxes, or with the box
around all of them (`merged`). There the phrases are given; here predicted phrases are linked to annotated ones by their
words, and an unlinked one is a miss. https://github.com/BryanPlummer/flickr30k_entities
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vista.data import Box, Prediction
from vista.metrics.caption import caption_scores, quicker, strip_markup
from vista.metrics.evaluator import CorpusEvaluator, percent
from vista.metrics.overlap import box_iou, enclosing_box

TYPES = ("people", "clothing", "bodyparts", "animals", "vehicles", "instruments", "scene", "other")
MATCH_IOU = 0.5
_GROUP = re.compile(r"\[[^\]]*\]")
_WORD = re.compile(r"\w+(?:['-]\w+)*")
_ARTICLES = frozenset(("a", "an", "the"))


def content_words(text: str) -> list[str]:
    """Lower-case words without articles."""
    return [word for word in _WORD.findall(text.lower()) if word not in _ARTICLES]


def spotted_phrases(text: str, boxes: Sequence[Box]) -> list[tuple[list[str], Box]]:
    """The words before each box, with the phrase's first box.

    Args:
        text: a caption with `[..]` groups; a group right after another one, or after `<bsep>`, belongs to its phrase.
        boxes: xyxy in pixels, one per group, in order.

    Returns:
        (words since the last group, first box) per phrase; none where the numbers of groups and boxes differ.
    """
    pieces = _GROUP.split(text)[:-1]
    if len(pieces) != len(boxes):
        return []
    words = [content_words(piece.replace("<bsep>", " ")) for piece in pieces]
    return [(before, box) for before, box in zip(words, boxes, strict=True) if before]


def link_phrases(
    spotted: Sequence[tuple[list[str], Box]], phrases: Sequence[str]
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
        ending = [
            i
            for i, words in enumerate(wanted)
            if i not in linked and words and before[-len(words) :] == words
        ]
        if ending:
            linked[max(ending, key=lambda i: (len(wanted[i]), -i))] = box
    return linked


class SpotCaptionMetric(CorpusEvaluator):
    """Recall of phrase boxes and caption scores. Prediction: `text` with its groups, `boxes` in the same order.

    Reference: `{"captions": [str, ...], "phrases": [{"phrase": str, "boxes": [xyxy, ...], "types": [str, ...]}, ...]}`;
    phrases without boxes are skipped. A malformed answer is an empty caption without boxes. Keys: the caption metrics,
    `recall_at_1`, `recall_at_1_merged`, `recall_at_1_{type}`.

    Args:
        metrics: caption metrics, names as in `vista.metrics.caption`.
        tokenizer: `auto`, `java` or `python`.
    """

    def __init__(
        self, metrics: Sequence[str] = ("CIDEr", "METEOR"), tokenizer: str = "auto"
    ) -> None:
        super().__init__(
            "hit",
            "hit_merged",
            "phrases",
            *(f"{kind}_{name}" for kind in ("hit", "phrases") for name in TYPES),
        )
        self.metrics, self.tokenizer = tuple(metrics), tokenizer

    def sample(self, pred: Prediction, ref: Mapping[str, Any]) -> dict[str, float]:
        """Hits and phrases of one sentence, in all and by type; the caption is kept."""
        self.records.append(
            ("" if pred.malformed else strip_markup(pred.text), tuple(ref["captions"]))
        )
        phrases = [phrase for phrase in ref["phrases"] if phrase["boxes"]]
        spotted = [] if pred.malformed else spotted_phrases(pred.text, pred.boxes)
        linked = link_phrases(spotted, [phrase["phrase"] for phrase in phrases])
        added: dict[str, float] = dict.fromkeys(self.sums[2:], 0)
        for i, phrase in enumerate(phrases):
            box = linked.get(i)
            hit = (
                box is not None and max(box_iou(box, true) for true in phrase["boxes"]) >= MATCH_IOU
            )
            added["hit_merged"] += (
                box is not None and box_iou(box, enclosing_box(phrase["boxes"])) >= MATCH_IOU
            )
            for suffix in ("", *(f"_{name}" for name in phrase.get("types", ()) if name in TYPES)):
                added[f"hit{suffix}"] += hit
                added[f"phrases{suffix}"] += 1
        return added

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Caption scores of the whole set, shares of all phrases and of those of each type."""
        records = self.gathered()
        captions, references = [r[0] for r in records], [r[1] for r in records]
        metrics, tokenizer = quicker(self.metrics, self.tokenizer, self.quick)
        scores = self.on_first(lambda: caption_scores(captions, references, metrics, tokenizer))
        scores |= {
            "recall_at_1": percent(total["hit"], total["phrases"]),
            "recall_at_1_merged": percent(total["hit_merged"], total["phrases"]),
        }
        return scores | {
            f"recall_at_1_{x}": percent(total[f"hit_{x}"], total[f"phrases_{x}"]) for x in TYPES
        }
