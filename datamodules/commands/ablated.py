"""Which arm of an ablation each run of a report is, by its config; and how well its codec holds the masks asked for."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datamodules.commands.reported import Answered, ReportedRun
from vista.app.strict_yaml import load_yaml
from vista.codec.codec import Codec
from vista.geometry import decode_segmentation
from vista.metrics.overlap import mask_iou, union_mask
from vista.reporting.ablations import Arm, differ, parts_of

MOST_MASKS = 256  # of which the bound is the mean
BOUND_OF = "res_refcoco_val"  # the score whose masks are taken, as in the paper


def arms_of(runs: Sequence[ReportedRun]) -> list[Arm]:
    """The arms, empty where fewer than two runs have a config."""
    found = [(run, settings) for run in runs if (settings := settings_of(run))]
    if len(found) < 2:
        return []
    arms = [_arm(run, settings, None) for run, settings in found]
    if not differ(arms, lambda arm: arm.method, lambda arm: arm.points):
        return arms
    return [_arm(run, settings, bound_of(run.answered.get(BOUND_OF))) for run, settings in found]


def settings_of(run: ReportedRun) -> dict[str, Any]:
    """The config of a run; empty where there is none."""
    file = run.folder and run.folder / "config.yaml"
    settings = load_yaml(file.read_text()) if file and file.is_file() else None
    return settings if isinstance(settings, dict) else {}


def _arm(run: ReportedRun, settings: Mapping[str, Any], bound: float | None) -> Arm:
    codec, data, trainer = (settings.get(group) or {} for group in ("codec", "data", "trainer"))
    steps, epochs = _steps(run), trainer.get("max_epochs") or 1
    samples = steps and steps * (data.get("batch_size") or 1) // max(1, epochs)
    method, points = codec.get("method") or "adaptive", codec.get("num_points") or 32
    tasks = len(data.get("tasks") or [])
    return Arm(run.scores, method, points, parts_of(settings), samples, tasks, bound)


def _steps(run: ReportedRun) -> int | None:
    """Steps of a finished run, None where it does not say."""
    try:
        return (
            int(json.loads((run.folder / "done.json").read_text())["step"]) if run.folder else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def bound_of(answered: Answered | None) -> float | None:
    """Mean IoU in percent of true masks after encoding and decoding, each once, as in Figure 4a."""
    if answered is None:
        return None
    codec: Codec = answered.source.task.codec
    # Several expressions may speak of one mask.
    by_mask = {(a.images, a.boxes): a for a in answered.asked}
    ious = []
    for annotation in list(by_mask.values())[:MOST_MASKS]:
        mask = decode_segmentation(annotation.segmentations[0], annotation.sizes[0])
        decoded, _ = codec.parse_masks(codec.mask_to_text(mask), annotation.sizes[0])
        ious.append(mask_iou(union_mask(decoded, mask.shape), mask))
    return 100 * float(np.mean(ious)) if ious else None
