"""What the paper (arXiv:2312.12423) reports of VistaLLM: the table, the metric, and the scores of 7B and 13B.

    PUBLISHED["res_refcoco_val", "mIoU"]        Published("Table 3b", 74.5, 77.2)

A score is named as its source is in `configs/places/eval.yaml`, a metric as the task's evaluator names it. Which split
of gRefCOCO and of Hateful Memes it reports, the paper does not say: here `val` (Table A.1) and `test_seen`.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """One score of the paper.

    Attributes:
        table: where it stands.
        small: VistaLLM-7B, None where the paper has none.
        large: VistaLLM-13B.
    """

    table: str
    small: float | None
    large: float


class Axis(NamedTuple):
    """An axis of the radar chart, Figure 1.

    Attributes:
        title: what is written at its end.
        score: the name of the score, Table A.1.
        metric: its metric.
        origin: the middle of the chart, as a share of VistaLLM-13B's score (Appendix A).
    """

    title: str
    score: str
    metric: str
    origin: float = 0.92


REFERRING = (  # RefCOCO, RefCOCO+, RefCOCOg
    "refcoco_val", "refcoco_testA", "refcoco_testB", "refcocop_val", "refcocop_testA", "refcocop_testB",
    "refcocog_val", "refcocog_test",
)  # fmt: skip
REC_7B = (88.1, 91.5, 83.0, 82.9, 89.8, 74.8, 83.6, 84.4)
REC_13B = (89.9, 92.5, 85.0, 84.1, 90.3, 75.8, 86.0, 86.4)
RES_7B = (74.5, 76.0, 72.7, 69.1, 73.7, 64.0, 69.0, 70.9)
RES_13B = (77.2, 78.7, 73.9, 71.8, 74.4, 65.6, 69.8, 71.9)


def _referring(
    task: str, metric: str, table: str, small: tuple[float, ...], large: tuple[float, ...]
) -> dict[tuple[str, str], Published]:
    rows = zip(REFERRING, small, large, strict=True)
    return {(f"{task}_{split}", metric): Published(table, *both) for split, *both in rows}


# The headline of each score, in the order of the paper.
HEADLINES: dict[tuple[str, str], Published] = {
    ("caption_coco", "CIDEr"): Published("Table 2", 122.5, 128.4),
    ("vqav2_val", "accuracy"): Published("Table 2", 76.7, 77.7),
    **_referring("rec", "pr50", "Table 3a", REC_7B, REC_13B),
    **_referring("res", "mIoU", "Table 3b", RES_7B, RES_13B),
    ("grec_val", "pr_f1"): Published("Table 4", 52.7, 54.6),
    ("gres_val", "gIoU"): Published("Table 4", 64.4, 65.1),
    ("vcr_val", "q_ar"): Published("Table 6a", None, 79.6),
    ("pqa_looktwice", "accuracy_any"): Published("Table 5", None, 71.4),
    ("bqa_visual7w", "accuracy"): Published("Table 5", None, 85.9),
    ("textvqa_val", "accuracy"): Published("Table 6b", None, 53.0),
    ("iconqa_test", "accuracy"): Published("Table 6b", None, 47.9),
    ("hateful_memes_test_seen", "accuracy"): Published("Table 6b", None, 59.1),
    ("pope_random", "f1"): Published("Table 8b", None, 90.5),
    ("pope_popular", "f1"): Published("Table 8b", None, 84.8),
    ("pope_adversarial", "f1"): Published("Table 8b", None, 82.9),
    ("nlvr2_dev", "accuracy"): Published("Table 8a", None, 81.7),
    ("nlvr2_test1", "accuracy"): Published("Table 8a", None, 82.1),
    ("coseg_pascal", "J"): Published("Table 7", None, 77.2),
    ("coseg_msrc", "J"): Published("Table 7", None, 90.1),
    ("coseg_icoseg", "J"): Published("Table 7", None, 95.1),
}
OTHERS: dict[tuple[str, str], Published] = {
    ("caption_coco", "SPICE"): Published("Table 2", 24.2, 24.6),
    ("grec_val", "n_acc"): Published("Table 4", 69.4, 70.8),
    ("gres_val", "n_acc"): Published("Table 4", 68.8, 70.0),
    ("gres_val", "t_acc"): Published("Table 4", 96.6, 96.8),
    ("vcr_val", "q_a"): Published("Table 6a", None, 88.2),
    ("vcr_val", "qa_r"): Published("Table 6a", None, 89.9),
    ("pqa_looktwice", "accuracy_superclass"): Published("Table 5", None, 71.8),
    ("pqa_looktwice", "accuracy_object"): Published("Table 5", None, 73.5),
    ("bqa_looktwice", "accuracy_any"): Published("Table 5", None, 72.0),
    ("bqa_looktwice", "accuracy_superclass"): Published("Table 5", None, 73.2),
    ("bqa_looktwice", "accuracy_object"): Published("Table 5", None, 73.4),
    ("coseg_pascal", "P"): Published("Table 7", None, 97.9),
    ("coseg_msrc", "P"): Published("Table 7", None, 98.5),
}
PUBLISHED = HEADLINES | OTHERS

# Figure 1. TextVQA is drawn on `val`, where answers are public, and its "PointQA" is Visual7W.
RADAR = (
    Axis("COCO Cap", "caption_coco", "CIDEr", 0.75),
    Axis("VQAv2", "vqav2_val", "accuracy"),
    Axis("VCR", "vcr_val", "q_ar"),
    Axis("POPE", "pope_random", "f1"),
    Axis("HM", "hateful_memes_test_seen", "accuracy"),
    Axis("TextVQA", "textvqa_val", "accuracy"),
    Axis("REC", "rec_refcoco_val", "pr50", 0.96),
    Axis("RES", "res_refcoco_val", "mIoU"),
    Axis("GREC", "grec_val", "pr_f1"),
    Axis("GRES", "gres_val", "gIoU"),
    Axis("PointQA", "bqa_visual7w", "accuracy", 0.97),
    Axis("NLVR2", "nlvr2_dev", "accuracy"),
    Axis("IconQA", "iconqa_test", "accuracy"),
    Axis("iCoSeg", "coseg_icoseg", "J"),
)
