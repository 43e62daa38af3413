"""The model card of an exported folder, its `README.md`: what it is, how it was made, what it scores."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path

import torch

from vista.app.runs import run_of
from vista.app.strict_yaml import Settings
from vista.app.unnamed import read_unnamed
from vista.data import InputError
from vista.printable import in_one_line
from vista.training.checkpoint_files import Checkpoint

CARD = """---
license: {licence}
library_name: transformers
pipeline_tag: image-text-to-text
tags: [vistallm, referring-expression-segmentation]
---

# {name}

A model of VistaLLM (open; the model of arXiv:2312.12423): it answers questions about one or several images in words,
points, boxes or masks, all of them written as text. {parameters:,} parameters, {dtype}, step {step}.

    python main.py predict --ckpt_path FOLDER --images a.png --text "the red circle" --task res
    python main.py test --ckpt_path FOLDER
    python main.py fit --config FOLDER/config.yaml --model.init_from FOLDER

{transformers}

## How it was trained

`config.yaml` holds all settings of the last stage: `python main.py fit --config FOLDER/config.yaml`, with
`--model.init_from` for the stage before it, if there was one.

{stages}

## Sources

Those of the last stage's config, of which the tasks of each stage were trained on:

{sources}

## Scores of `test`

{scores}

## Licence

{rights}
"""
INSTRUCTBLIP = """`InstructBlipForConditionalGeneration.from_pretrained(FOLDER)` of transformers reads it too, and
`AutoProcessor.from_pretrained(FOLDER)`. Their processor knows no brackets of numbers and asks about one image;
prompts as the model was trained on are written by `vista.tokens.tokenizer.Tokenizer(FOLDER)`."""
PARTS = """`vision_model/`, `qformer/` and `language_model/` are folders that transformers reads, each with its own
`from_pretrained`."""

STAGE = (
    "stage",
    "tasks",
    "replayed",
    "epochs",
    "samples an epoch",
    "batch",
    "learning rate",
    "trained",
    "seed",
)
SOURCE = ("source", "task", "data set", "split")
SCORE = ("source", "metric", "score", "baseline", "baseline is", "n", "malformed")


def model_card(
    settings: Settings,
    states: Checkpoint,
    checkpoint: Path,
    numbers: int,
    dtype: torch.dtype,
    whole: bool,
) -> str:
    """The card as Markdown.

    Args:
        settings: of the run.
        states: of the checkpoint, without its tensors.
        checkpoint: where it lies; scores are looked for in its run's folder.
        numbers: parameters of all parts.
        dtype: in which they are written.
        whole: whether transformers reads the folder as one model.
    """
    stages = [settings, *stages_before(settings)]
    outside = sorted(set(chain.from_iterable(map(weights_named, stages))))
    return CARD.format(
        licence="other" if outside else "apache-2.0",
        name=in_one_line(str(settings.get("name") or checkpoint.stem)),
        parameters=numbers,
        dtype=str(dtype).removeprefix("torch."),
        step=states["global_step"],
        transformers=INSTRUCTBLIP if whole else PARTS,
        stages=table(STAGE, [stage_row(stage) for stage in reversed(stages)]),
        sources=table(SOURCE, source_rows(settings)),
        scores=scores_of(checkpoint),
        rights=rights(outside),
    )


def stages_before(settings: Settings) -> list[Settings]:
    """The settings of the runs whose weights a run began with, the nearest first, as far as they are still there."""
    found: list[Settings] = []
    named = (settings.get("model") or {}).get("init_from")
    while named and len(found) < 9:
        run = run_of(Path(named))
        if run is None:
            break
        try:
            found.append(read_unnamed(run / "config.yaml").settings)
        except InputError:
            break
        named = (found[-1].get("model") or {}).get("init_from")
    return found


def weights_named(settings: Settings) -> Iterator[str]:
    """Weights of others that a run began with; those of the project lie in `configs`."""
    for group in ("encoder", "qformer", "llm", "model"):
        path = (settings.get(group) or {}).get("weights")
        if path and "configs" not in Path(path).parts:
            yield str(path)


def stage_row(settings: Settings) -> list[object]:
    """What tells a stage from another one."""
    data, model, trainer = (settings.get(group) or {} for group in ("data", "model", "trainer"))
    order, optimization = data.get("order") or {}, model.get("optimization") or {}
    replayed = (
        f"{data.get('replay_tasks')} {data.get('replay')}" if data.get("replay_tasks") else ""
    )
    return [
        settings.get("name"), data.get("tasks") or "all", replayed, trainer.get("max_epochs"),
        order.get("epoch_samples") or "all", data.get("batch_size"), optimization.get("learning_rate"),
        model.get("trainable"), settings.get("seed_everything"),
    ]  # fmt: skip


def source_rows(settings: Settings) -> list[list[object]]:
    """The sources that are trained on."""
    rows = []
    for name, source in ((settings.get("data") or {}).get("sources") or {}).items():
        if source.get("train"):
            rows.append([name, source.get("task"), source.get("dataset"), source["train"]])
    return rows


def scores_of(checkpoint: Path) -> str:
    """The table of the last `test` of a checkpoint."""
    run = run_of(checkpoint)
    try:
        content = json.loads((run / "scores_test.json").read_bytes()) if run else {}
        if Path(content["weights"]["path"]).name != checkpoint.name:
            return "None: what was tested last is another checkpoint of the run."
        keys = ("name", "metric", "score", "baseline", "what", "n", "parse_failures")
        return table(SCORE, map(itemgetter(*keys), content["table"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "None: it was not tested before it was exported."


def rights(outside: Sequence[str]) -> str:
    """What is known of the licence."""
    text = "The code is under Apache-2.0"
    if outside:
        began = ", ".join(f"`{in_one_line(path)}`" for path in outside)
        return f"{text}. The weights began as those of {began}: their licences hold, and so do those of the data sets."
    return f"{text}, and so are these weights, which began from nothing else; data sets have licences of their own."


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown; no cell breaks out of it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return "" if value is None else in_one_line(str(value)).replace("|", "\\|")
