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

LIGHTNING_VERBS = ("fit", "validate", "test", "predict", "pretrain")
OWN_VERBS = {  # verb -> module, function
    "codec-bench": ("vista.codec.bench.command", "main"),
    "score": ("datamodules.commands.score", "main"),
    "check-task": ("datamodules.commands.check_task", "main"),
    "consolidate": ("datamodules.commands.consolidate", "main"),
    "data": ("datamodules.commands.data", "main"),
}


def main(arguments: list[str] | None = None) -> None:
    """Run one verb.

    Args:
        arguments: of the command line; None: those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    verbs = [*LIGHTNING_VERBS, *OWN_VERBS]
    if verb in ("-h", "--help"):
        print(
            f"{__doc__}\nverbs: {' '.join(verbs)}\n`python main.py VERB --help` explains every setting."
        )
        return
    with told_in_one_sentence():
        if verb in OWN_VERBS:
            run_own_verb(verb, rest)
        elif verb == "pretrain":
            run_pretraining(rest)
        elif verb in LIGHTNING_VERBS:
            run_lightning_verb(verb, rest)
        else:
            close = get_close_matches(verb, verbs, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(verbs)}"
            raise InputError(f"there is no verb {verb!r}; {hint}")


def run_own_verb(verb: str, arguments: list[str]) -> None:
    """Hand the words to a verb of ours."""
    module, name = OWN_VERBS[verb]
    getattr(import_module(module), name)(arguments)


def run_lightning_verb(verb: str, arguments: list[str]) -> None:
    """Train, score or answer."""
    _quiet()
    from vista.app.arguments import explain, plugins, resolve_arguments
    from vista.app.cli import PARSER_ERRORS, VistaCLI, known_settings

    resolved, name = resolve_arguments(verb, arguments)
    load_entry_points()
    for path in plugins(resolved):
        load_plugin(path)
    from datamodules.mixture import MixtureData
    from vista.module import VistaModule

    try:
        VistaCLI(VistaModule, MixtureData, make_callbacks, name, resolved)
    except PARSER_ERRORS as error:
        raise InputError(explain(error, known_settings(VistaModule, MixtureData))) from error


def run_pretraining(arguments: list[str]) -> None:
    """Stage 0: train the tiny encoder, see `vista/training/pretrain.py`."""
    _quiet()
    from datamodules.pretrain import PretrainingData
    from vista.app.arguments import config_paths, explain
    from vista.app.cli import PARSER_ERRORS, PretrainingCLI, known_settings
    from vista.training.pretrain import EncoderPretraining

    try:
        PretrainingCLI(EncoderPretraining, PretrainingData, ["fit", *config_paths(arguments)])
    except PARSER_ERRORS as error:
        raise InputError(
            explain(error, known_settings(EncoderPretraining, PretrainingData))
        ) from error


def make_callbacks(folder: Path, out: Path | None = None) -> list[Any]:
    """What watches a run: speed, faults, predictions, scores and pictures; or, with `out`, what shows one answer."""
    from callbacks.answers import Answers
    from callbacks.faults import Faults
    from callbacks.pictures import Pictures
    from callbacks.predictions import Predictions
    from callbacks.scores import ScoreTable
    from callbacks.throughput import Throughput
    from callbacks.unusable import Unusable

    if out is not None:
        return [Answers(out)]
    lines = 0 if sys.stdout.isatty() else 50
    return [
        Throughput(lines),
        Faults(),
        Unusable(),
        Predictions(folder),
        Pictures(folder),
        ScoreTable(folder),
    ]


def _quiet() -> None:
    """Silence advice that does not concern the user; keep waiting threads from spinning on shared cores."""
    import logging
    import warnings

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    advice = (
        "LeafSpec", "treespec", "does not have many workers", "persistent_workers",
        "Experiment logs directory", "callbacks used to create the checkpoint", "your dataloader is not resumable",
        "The dirpath has changed", "could not find the monitored key",
    )  # fmt: skip
    for text in (f".*{part}.*" for part in advice):
        warnings.filterwarnings("ignore", text)


if __name__ == "__main__":
    main()
