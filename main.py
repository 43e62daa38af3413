"""The command line: `python main.py VERB ...`.

    python main.py fit --config stage1.yaml          train the tiny model on the generated world
    python main.py test --task res                   score the newest run
    python main.py predict --images a.png --text "the red circle" --task res

`fit validate test predict` are Lightning's verbs, the others are small modules of ours, imported only when called.
"""

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from vista.app.errors import told_in_one_sentence
from vista.app.plugins import load_entry_points, load_plugin
from vista.data import InputError
from vista.printable import guard_messages

LIGHTNING_VERBS = ("fit", "validate", "test", "predict")
VERBS = {
    "fit": "train the model, or resume a run",
    "validate": "score a run on the splits that it was watched by",
    "test": "score a run on its test splits",
    "predict": "answer questions about images, and draw the answers",
    "demo": "ask a model about pictures on a web page of this machine",
    "pretrain": "train the image encoder of the tiny size",
    "score": "score answers in files, without a model",
    "report": "write one page of runs or scored files: scores beside the paper's, curves, slices, pictures",
    "check-task": "check that tasks keep the contract",
    "data": "audit overlaps of training and test images, verify numbers of samples, or show some",
    "plan": "say what a training will cost: memory, hours, size of a checkpoint",
    "doctor": "look at all that a training needs: files, weights, disk, processes",
    "consolidate": "write the weights of a sharded checkpoint into one file",
    "export": "write a model as one folder, for transformers and for every verb",
    "codec-bench": "measure how well sequences of points hold masks",
}

# Warnings that are silenced, each with the reason why nothing is lost: one that tells of a loss is never among them.
ADVICE = {
    "LeafSpec": "Lightning calls torch in an old way; the result is the same",
    "does not have many workers": "about speed; the number is a setting, and small models need none",
    "persistent_workers": "about speed, as above",
    "in eval mode at the start of training": "the encoder, which keeps the statistics of its norms",
    "Total length of `list` across ranks is zero": "`predict` says that all questions are answered already",
    "your dataloader is not resumable": "the data module knows its place by itself (tests/training/test_resume.py)",
}


def main(arguments: list[str] | None = None) -> None:
    """Run one verb.

    Args:
        arguments: of the command line; None: those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    verb, words = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help"):
        print_help()
        return
    with told_in_one_sentence():
        run_verb(verb, words)


def print_help() -> None:
    """What this program does, with one line for each verb."""
    print(__doc__)
    for verb, summary in VERBS.items():
        print(f"    {verb:12s} {summary}")
    print("\n`python main.py VERB --help` explains every setting.")


def run_verb(verb: str, words: list[str]) -> None:
    """Hand the words after the verb to what runs it.

    Raises:
        InputError: there is no such verb.
    """
    by_others = any(word.partition("=")[0] == "--answers_by" for word in words)
    if verb == "test" and by_others:
        _quiet(verb)
        run_own_verb("others", words)
    elif verb in LIGHTNING_VERBS:
        run_lightning_verb(verb, words)
    elif verb == "pretrain":
        run_pretraining(words)
    elif verb in VERBS:
        run_own_verb(verb, words)
    else:
        close = get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(VERBS)}"
        raise InputError(f"there is no verb {verb!r}; {hint}")


def run_own_verb(verb: str, words: list[str]) -> None:
    """Parse the words, and only then import what does the work: the help of a verb is there at once."""
    if verb == "codec-bench":
        from vista.app.parser import parse
        from vista.codec.bench.command import codec_bench

        guard_messages()
        parse(verb, codec_bench, words)
    else:
        from datamodules.commands.options import parse_options
        from vista.app.settings import with_bases

        options = parse_options(verb, words)
        with_bases(getattr(options, "config", []))  # one that is not there is told at once
        command = import_module(f"datamodules.commands.{verb.replace('-', '_')}")
        guard_messages()
        command.main(options)


def run_lightning_verb(verb: str, words: list[str]) -> None:
    """Train, score or answer."""
    _quiet(verb)
    from vista.app.arguments import plugins, resolve_arguments

    guard_messages()
    # What names nothing is told before Lightning is imported.
    resolved, name = resolve_arguments(verb, words)
    from datamodules.mixture import MixtureData
    from vista.app.cli import VistaCLI
    from vista.reinforced import ReinforcedModule

    load_entry_points()
    for path in plugins(resolved):
        load_plugin(path)
    VistaCLI(ReinforcedModule, MixtureData, make_callbacks, name, resolved)


def run_pretraining(words: list[str]) -> None:
    """Stage 0: train the tiny encoder, see `vista/training/pretrain.py`."""
    _quiet("fit")
    from vista.app.arguments import config_paths

    guard_messages()
    configs, rest = config_paths(words)
    from datamodules.pretrain import PretrainingData
    from vista.app.pretraining import PretrainingCLI
    from vista.training.pretrain import EncoderPretraining

    PretrainingCLI(EncoderPretraining, PretrainingData, configs, rest)


def make_callbacks(folder: Path, out: Path | None = None, many: bool = False) -> list[Any]:
    """What watches a run: speed, faults, predictions, scores and pictures; or, with `out`, what keeps answers."""
    from callbacks.answers import Answers
    from callbacks.faults import Faults
    from callbacks.many_answers import ManyAnswers
    from callbacks.own_data import OwnDataExamples
    from callbacks.pictures import Pictures
    from callbacks.predictions import Predictions
    from callbacks.scores import ScoreTable
    from callbacks.throughput import Throughput
    from callbacks.unusable import Unusable

    if out is not None:
        return [ManyAnswers(out) if many else Answers(out)]
    lines = 0 if sys.stdout.isatty() else 50
    return [
        Throughput(lines),
        Faults(),
        Unusable(),
        OwnDataExamples(folder),
        Predictions(folder),
        Pictures(folder),
        ScoreTable(folder),
    ]


def _quiet(verb: str) -> None:
    """Silence advice that does not concern the user; keep waiting threads from spinning on shared cores."""
    import logging
    import warnings

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    # What it tells below a warning are the machine's parts and the steps of a run.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    for text in ADVICE:
        warnings.filterwarnings("ignore", f".*{text}")
    if verb != "fit":  # a run that goes on would lose what those callbacks knew
        warnings.filterwarnings("ignore", ".*callbacks used to create the checkpoint")


if __name__ == "__main__":
    main()
