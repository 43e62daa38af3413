"""The ablations of the paper, and runs in the same form: Figure 4, Table 9, Table F.1, Figure F.1.

Which arm of an ablation a run is, its config says. A figure of the paper is given as far as its text states numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vista.reporting.charts import Line, line_chart
from vista.reporting.page import figure
from vista.reporting.scores import Key, RunScores, number
from vista.reporting.tables import Table

COLUMNS: dict[str, Key] = {  # of Tables 9 and F.1
    "Cap. CIDEr": ("caption_coco", "CIDEr"),
    "RES Ref val mIoU": ("res_refcoco_val", "mIoU"),
    "RES Ref testA mIoU": ("res_refcoco_testA", "mIoU"),
    "RES Ref testB mIoU": ("res_refcoco_testB", "mIoU"),
    "VCR Q→AR": ("vcr_val", "q_ar"),
    "iCoSeg Av. J": ("coseg_icoseg", "J"),
    "NLVR dev": ("nlvr2_dev", "accuracy"),
}
PAPER_PARTS = (
    ("VistaLLM-13B", "Tables 9, F.1", (128.4, 76.2, 77.7, 73.9, 79.6, 95.1, 80.7)),
    ("w/o Tokenizer", "Table 9", (123.4, 72.1, 73.8, 69.0, 73.2, 89.7, 77.3)),
    ("w/o Tokenizer PT", "Table 9", (127.0, 75.1, 76.5, 72.6, 78.5, 94.8, 79.5)),
    ("w/ CLIP-ViT-L/14", "Table F.1", (127.9, 75.5, 76.3, 72.1, 79.3, 94.7, 80.2)),
    ("w/ CLIP-ViT-L/14-336px", "Table F.1", (128.4, 76.0, 77.7, 73.6, 79.3, 95.1, 80.5)),
    ("w/ CLIP-ViT-B/16", "Table F.1", (127.6, 75.1, 76.3, 72.0, 79.0, 94.8, 79.8)),
)
SECTION_54 = (
    "The paper's text (Sec. 5.4): with 32 points the highest mIoU on Ref val is 97.26 by adaptive sampling and 94.70 "
    "by uniform; from 16 to 32 points VistaLLM gains 3.6 on Ref and 4.5 on Ref+."
)
APPENDIX_F = (
    "The paper's text (Appendix F), REC on Ref val, 7B: 82.7 with REC and REG alone (0.6M samples), 84.0 with Visual "
    "Genome (1M), 85.3 with PointQA, 86.0 with LLaVA, Flickr, VQAv2 and captions, 88.1 with all 6.8M."
)


@dataclass(frozen=True)
class Arm:
    """What of an ablation a run is.

    Attributes:
        scores: of the run.
        method: of sampling points.
        points: of a mask.
        parts: what distinguishes its tokenizer and its encoder.
        samples: of an epoch, of the tasks that it was trained on; None where it is not known.
        tasks: how many.
        bound: mean IoU in percent of the masks after encoding and decoding; None where they are not at hand.
    """

    scores: RunScores
    method: str
    points: int
    parts: str
    samples: int | None
    tasks: int
    bound: float | None

    def value(self, key: Key) -> float | None:
        """A headline of the run."""
        scored = self.scores.headlines.get(key)
        return None if scored is None else scored.value


def parts_of(settings: Mapping[str, dict[str, object] | None]) -> str:
    """Tokenizer and encoder of a run, in words."""
    qformer, encoder = (settings.get(group) or {} for group in ("qformer", "encoder"))
    tokenizer = "tokenizer"
    if qformer.get("projector"):
        tokenizer = "w/o tokenizer"
    elif not qformer.get("weights"):
        tokenizer = "w/o tokenizer's pretraining"
    return f"{tokenizer}; encoder {encoder.get('weights') or encoder.get('architecture') or 'from scratch'}"


def differ(arms: Sequence[Arm], *of: Callable[[Arm], object]) -> bool:
    """Whether runs differ in any of these respects."""
    return any(len(set(map(respect, arms))) > 1 for respect in of)


def ablation_tables(arms: Sequence[Arm]) -> list[Table]:
    """A table for each ablation that the runs make."""
    tables = []
    if differ(arms, lambda arm: arm.method, lambda arm: arm.points):
        tables.append(_sampling(arms))
    if differ(arms, lambda arm: arm.parts):
        of_paper = [[name, place, *map(number, values)] for name, place, values in PAPER_PARTS]
        tables.append(Table("Parts, the paper's", ["", "where", *COLUMNS], of_paper))
        rows = [[arm.scores.name, arm.parts, *_values(arm)] for arm in arms]
        tables.append(Table("Parts, these runs", ["run", "parts", *COLUMNS], rows))
    if differ(arms, lambda arm: arm.tasks):
        tables.append(_growth(arms))
    return tables


def _values(arm: Arm) -> list[str]:
    return [number(arm.value(key)) for key in COLUMNS.values()]


def _sampling(arms: Sequence[Arm]) -> Table:
    head = ["run", "sampling", "points", "highest mIoU", "RES Ref val mIoU", "RES Ref+ val mIoU"]
    rows = []
    for arm in sorted(arms, key=lambda arm: (arm.method, arm.points)):
        scores = [
            number(arm.value((name, "mIoU"))) for name in ("res_refcoco_val", "res_refcocop_val")
        ]
        rows.append([arm.scores.name, arm.method, str(arm.points), number(arm.bound), *scores])
    return Table("Sampling of points (Figure 4)", head, rows, [SECTION_54])


def _growth(arms: Sequence[Arm]) -> Table:
    keys: tuple[Key, ...] = (("rec_refcoco_val", "pr50"), ("res_refcoco_val", "mIoU"))
    rows = []
    for arm in sorted(arms, key=lambda arm: arm.tasks):
        scores = [number(arm.value(key)) for key in keys]
        rows.append([arm.scores.name, str(arm.tasks), f"{arm.samples or 0:,}", *scores])
    head = ["run", "tasks", "samples of an epoch", "REC Ref val pr50", "RES Ref val mIoU"]
    return Table("Training data (Figure F.1)", head, rows, [APPENDIX_F])


def ablation_charts(arms: Sequence[Arm]) -> list[str]:
    """The panels of Figures 4 and F.1, as HTML, for what the runs differ in."""
    charts = []
    if differ(arms, lambda arm: arm.points):
        bounds = _by_method(arms, lambda arm: arm.bound)
        charts.append(figure(line_chart(bounds, "points"), "Figure 4a: highest mIoU"))
        reached = _by_method(arms, lambda arm: arm.value(("res_refcoco_val", "mIoU")))
        charts.append(figure(line_chart(reached, "points"), "Figure 4b: mIoU on RES Ref val"))
    if differ(arms, lambda arm: arm.tasks):
        for key, title in (
            (("rec_refcoco_val", "pr50"), "F.1a: REC"),
            (("res_refcoco_val", "mIoU"), "F.1b: RES"),
        ):
            points = [(float(arm.samples or 0), arm.value(key)) for arm in arms]
            line = Line(key[1], sorted((x, y) for x, y in points if y is not None))
            charts.append(
                figure(line_chart([line], "samples of an epoch"), f"Figure {title} on Ref val")
            )
    return charts


def _by_method(arms: Sequence[Arm], value: Callable[[Arm], float | None]) -> list[Line]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for arm in sorted(arms, key=lambda arm: arm.points):
        found = value(arm)
        if found is not None:
            lines.setdefault(arm.method, []).append((float(arm.points), found))
    return [Line(method, points) for method, points in lines.items()]
