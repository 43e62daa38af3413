"""`test --answers_by`: our sources, asked of somebody else's model and scored as ours.

    python main.py test --answers_by hf --model llava-hf/llava-1.5-7b-hf --config coinit --task rec vqav2
    python main.py test --answers_by url --url http://localhost:8000/v1 --model qwen --family qwen2_5_vl

Answers go to runs/NAME/predictions/SOURCE.jsonl, where `score` can read them; what is there already is not asked again.
A source that the model cannot be asked about is left out of the table, with the reason.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from datamodules.commands.asked import Answering, ask, in_words_of
from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.options import OthersOptions
from datamodules.commands.score import score_files
from datamodules.questions import limit
from datamodules.source import Source, check_names, check_source, nearest
from vista.app.report import Row, print_table
from vista.app.runs import RUNS
from vista.data import InputError
from vista.leftovers import held
from vista.others.family import CannotAsk, family_of
from vista.printable import say


def main(options: OthersOptions) -> None:
    """Ask, score and print the table.

    Raises:
        InputError: one sentence about what does not fit.
    """
    setup = read_setup(options.config, options.data.root, options.plugin)
    sources = chosen(setup, options.task)
    model = make_model(options)
    folder = RUNS / (options.name or f"{options.answers_by}-{Path(options.model).name}")
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    with held(folder):
        claim_folder(folder, subject_of(options, model))
        (folder / "config.yaml").write_text(yaml.safe_dump(_config(setup), sort_keys=False))
        rows, left_out = test(model, setup, sources, folder, options)
    content = {"answered_by": subject_of(options, model), "table": rows, "left_out": left_out}
    (folder / "scores_test.json").write_text(json.dumps(content, indent=1) + "\n")
    if rows:
        print_table(rows)
    for name, why in left_out.items():
        say(f"left out: {name}: {why}")


def test(
    model: Answering,
    setup: Setup,
    sources: dict[str, Source],
    folder: Path,
    options: OthersOptions,
) -> tuple[list[Row], dict[str, str]]:
    """Ask and score one source after the other.

    Returns:
        rows of the table, and why each source without one was left out.
    """
    most = options.data.scoring.max_test
    loaded = setup.splits.load(sources, "test")
    check_names(loaded)
    limit(loaded, most)
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for source in loaded:
        try:
            asked = in_words_of(model, source)
        except CannotAsk as reason:
            left_out[source.name] = str(reason)
            say(f"{source.name} is left out: {reason}", file=sys.stderr)
            continue
        path = folder / "predictions" / f"{source.name}.jsonl"
        ask(model, asked, path, options.batch_size, options.max_new_tokens)
        rows.append(score_files(setup, source.name, [path], most=most))
    return rows, left_out


def chosen(setup: Setup, tasks: Sequence[str]) -> dict[str, Source]:
    """The sources of some tasks that are tested; of all where none is named.

    Raises:
        InputError: a source is unsound, or no source has such a task.
    """
    tested = {name: source for name, source in setup.sources.items() if source.test}
    known = sorted({source.task for source in tested.values()})
    for task in tasks:
        if task not in known:
            raise InputError(nearest(task, known, "task with a source to be tested"))
    wanted = {name: source for name, source in tested.items() if source.task in (tasks or known)}
    for name, source in wanted.items():
        check_source(name, source)
    return wanted


def make_model(options: OthersOptions) -> Answering:
    """What answers.

    Raises:
        InputError: an option is missing, or the model cannot be had.
    """
    from vista.others.endpoint import Endpoint
    from vista.others.huggingface import load_model

    if options.answers_by == "hf":
        model = load_model(options.model, options.device, options.dtype)
        if options.mask_decoder:
            model.family = model.family.with_mask_decoder(Path(options.mask_decoder))
        return model
    if options.mask_decoder:
        raise InputError("--mask_decoder is for a model of --answers_by hf")
    if not (options.url and options.family):
        raise InputError(
            "--answers_by url needs --url http://HOST/v1, --model NAME, and --family MODEL_TYPE, whose conventions "
            "the model keeps (such as qwen2_5_vl)"
        )
    family = family_of(options.family)
    if not family.chat:
        raise InputError(f"{family.name} is asked by no chat, so it cannot be asked by a URL")
    return Endpoint(options.url, options.model, family(), options.timeout)


def subject_of(options: OthersOptions, model: Answering) -> dict[str, object]:
    """What the answers depend on beside the questions."""
    files = sorted(Path(options.model).glob("*")) if options.answers_by == "hf" else []
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return {
        "model": options.model,
        "files": [list(stamp) for stamp in stamps],
        "url": options.url,
        "family": model.family.name,
        "dtype": options.dtype,
        "max_new_tokens": options.max_new_tokens,
        **({"mask_decoder": options.mask_decoder} if options.mask_decoder else {}),
    }


def claim_folder(folder: Path, subject: dict[str, object]) -> None:
    """Say whose answers a folder holds.

    Raises:
        InputError: it holds those of another model, or under other settings.
    """
    file = folder / "answered_by.json"
    if file.is_file() and file.read_text(errors="replace") != json.dumps(subject):
        raise InputError(
            f"{folder} holds answers of another model or under other settings; choose another --name"
        )
    if not file.is_file() and any((folder / "predictions").iterdir()):
        raise InputError(f"{folder} holds answers of one of our runs; choose another --name")
    file.write_text(json.dumps(subject))


def _config(setup: Setup) -> dict[str, object]:
    """The settings with the data root that was used: `score` finds them beside the answers."""
    data = dict(setup.settings.get("data") or {}) | {"root": str(setup.root)}
    return setup.settings | {"data": data}
