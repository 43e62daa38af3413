"""LightningCLI with the parts of VistaLLM as groups of settings, run folders, and errors in one sentence."""

import json
import re
import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any

import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from vista.codec import Codec
from vista.models.parts import LLM, Encoder, QFormer
from vista.runs import CONFIGS, find_checkpoint, find_config, new_run, run_of
from vista.tokenizer import Tokenizer

MakeCallbacks = Callable[[Path], Sequence[Callback]]
PARTS = {"encoder": Encoder, "qformer": QFormer, "llm": LLM, "tokenizer": Tokenizer, "codec": Codec}


class MarkDone(Callback):
    """Writes `done.json` when training has ended, so that `test` finds the run."""

    def __init__(self, folder: Path, checkpoint: ModelCheckpoint) -> None:
        """Keep the folder and the callback that knows the best checkpoint."""
        self.folder, self.checkpoint = folder, checkpoint

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Name the best checkpoint, or the last one where none was scored."""
        best = self.checkpoint.best_model_path or self.checkpoint.last_model_path
        if trainer.is_global_zero and best and not trainer.interrupted:
            content = {"checkpoint": str(Path(best).relative_to(self.folder.absolute())), "step": trainer.global_step}
            (self.folder / "done.json").write_text(json.dumps(content) + "\n")


class VistaCLI(LightningCLI):
    """The verbs `fit`, `validate`, `test` and `predict`."""

    def __init__(self, model: Any, data: Any, make_callbacks: MakeCallbacks, name: str, arguments: list[str]) -> None:
        """Parse, build and run.

        Args:
            model: class of the LightningModule.
            data: class of the LightningDataModule.
            make_callbacks: the callbacks of a run, given its folder.
            name: of the run, if `--name` says nothing else.
            arguments: verb and settings, with the paths of config files resolved.
        """
        self.make_callbacks, self.default_name = make_callbacks, name
        sys.argv = ["main.py", *arguments]  # passing `args` while sys.argv is not empty warns on each run
        super().__init__(
            model,
            data,
            save_config_callback=None,
            seed_everything_default=0,
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False}
            | {v: {"exit_on_error": False, "allow_abbrev": False} for v in ("fit", "validate", "test", "predict")},
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Every part is a group of settings; parts are built first and handed to model and data."""
        for group, part in PARTS.items():
            parser.add_class_arguments(part, group)
            parser.link_arguments(group, f"model.{group}", apply_on="instantiate")
        for group in ("tokenizer", "codec"):
            parser.link_arguments(group, f"data.{group}", apply_on="instantiate")
        for group in ("qformer", "llm"):
            parser.link_arguments("tokenizer", f"{group}.vocab_size", compute_fn=len, apply_on="instantiate")
        parser.link_arguments("encoder.hidden_size", "qformer.encoder_hidden_size")
        parser.link_arguments("encoder.image_size", "data.image_size")
        parser.link_arguments("qformer.num_queries", "data.num_queries")
        parser.add_argument("--name", type=str, default=self.default_name, help="folder of the run below runs/")
        parser.add_argument(
            "--plugin", type=str, nargs="*", default=[], help="Python files with tasks, readers"
        )

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand != "fit":
            parser.add_argument(
                "--task", nargs="+", type=str, default=None, help="tasks to run, of those with a source"
            )
        if subcommand == "predict":
            parser.add_argument("--images", nargs="+", type=str, default=[], help="image files, in the prompt's order")
            parser.add_argument("--text", type=str, default="", help="the expression, question or statement")
            parser.add_argument("--out", type=Path, default=Path("answer.png"), help="where the picture goes")
        return parser

    @property
    def verb_config(self) -> Any:
        """Settings of the verb that runs."""
        return self.config[self.subcommand]

    def before_instantiate_classes(self) -> None:
        """Resolve names of runs and choose tasks."""
        config = self.verb_config
        if config.model.init_from:
            config.model.init_from = find_checkpoint(config.model.init_from)
        if config.get("task"):
            config.data.tasks, config.data.replay_tasks = list(config.task), []
        if self.subcommand == "predict" and (not config.get("task") or not config.images):
            raise ValueError("predict needs --images FILE ... and --task NAME, and --text for what is asked")
        checkpoint = config.get("ckpt_path")
        run = None if self.subcommand == "fit" or not checkpoint else run_of(Path(checkpoint))
        self.folder = (run or new_run(config.name)).absolute()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer with the callbacks and loggers of the run."""
        config, fit = self.verb_config, self.subcommand == "fit"
        callbacks = list(self.make_callbacks(self.folder))
        dry = bool(config.trainer.fast_dev_run)
        if fit and not dry:
            checkpoint = ModelCheckpoint(
                self.folder / "checkpoints", filename="best", monitor="val/mean", mode="max", save_last=True
            )
            callbacks += [checkpoint, MarkDone(self.folder, checkpoint), LearningRateMonitor("step")]
            loggers = [TensorBoardLogger(self.folder, "", "logs"), CSVLogger(self.folder, "", "logs")]
            kwargs["logger"] = loggers
        else:
            kwargs["logger"] = False
        if sys.stdout.isatty():
            callbacks.append(RichProgressBar())
        else:
            kwargs["enable_progress_bar"] = False
        kwargs.update(default_root_dir=self.folder, enable_model_summary=False)
        trainer_config = {**self._get(self.config_init, "trainer", default={}), **kwargs}
        return self._instantiate_trainer(trainer_config, callbacks)

    def before_fit(self) -> None:
        """Keep the whole configuration beside the run, and say what is trained."""
        if not self.verb_config.trainer.fast_dev_run and self.trainer.is_global_zero:
            self.folder.mkdir(parents=True)
            self._parser(self.subcommand).save(self.verb_config, self.folder / "config.yaml", skip_unset=False)
            print(f"run: {self.folder}")
        print_parts(self.model)

    def before_predict(self) -> None:
        """Hand the question to the data."""
        self.datamodule.question_images = list(self.verb_config.images)
        self.datamodule.question_text = self.verb_config.text

    def before_test(self) -> None:
        """Say what is scored."""
        print(f"checkpoint: {self.verb_config.ckpt_path}")

    before_validate = before_test


def print_parts(module: LightningModule) -> None:
    """A line for each part: parameters and whether it is trained."""
    for name, part in module.model.named_children():  # type: ignore[union-attr,operator]
        total = sum(p.numel() for p in part.parameters())
        trained = sum(p.numel() for p in part.parameters() if p.requires_grad)
        print(f"  {name:20s} {total:>13,} parameters, {100 * trained / max(1, total):.0f} % trained")


class PretrainingCLI(LightningCLI):
    """The verb `pretrain`: an encoder under dense supervision."""

    def __init__(self, model: Any, data: Any, arguments: list[str]) -> None:
        """Parse, build and run; arguments with the paths of config files resolved."""
        sys.argv = ["main.py", *arguments]
        parser = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            model,
            data,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_defaults={"logger": False, "enable_checkpointing": False, "enable_model_summary": False},
            parser_kwargs=parser | {"fit": parser},
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The encoder is a group of settings of its own, as in `fit`."""
        parser.add_class_arguments(Encoder, "encoder")
        parser.link_arguments("encoder", "model.encoder", apply_on="instantiate")
        parser.link_arguments("encoder.image_size", "data.image_size")
        parser.link_arguments("encoder.patch_size", "data.patch_size")


def config_paths(arguments: list[str]) -> list[str]:
    """The arguments with every `--config NAME` written as `--config=PATH`, see `vista.runs.find_config`."""
    resolved = []
    words = iter(arguments)
    for word in words:
        if word == "--config" or word.startswith("--config="):
            word = f"--config={find_config(word.partition('=')[2] or next(words, ''))}"
        resolved.append(word)
    return resolved


def resolve_arguments(verb: str, arguments: list[str]) -> tuple[list[str], str]:
    """Write out what the command line leaves unsaid: paths of configs, the size's defaults, the newest run.

    Returns:
        the arguments for `VistaCLI`, and a name for the run.
    """
    resolved = config_paths(arguments)
    configs = [Path(word.partition("=")[2]) for word in resolved if word.startswith("--config=")]
    base = CONFIGS / "default.yaml"
    if verb != "fit" and not {"-h", "--help"} & set(resolved):
        base, resolved = _with_run(resolved, base)
    return [verb, f"--config={base}", *resolved], configs[0].stem if configs else "default"


def _with_run(arguments: list[str], base: Path) -> tuple[Path, list[str]]:
    """Put the config of the checkpoint's run in the place of the defaults."""
    given = [w.partition("=")[2] for w in arguments if w.startswith("--ckpt_path=")]
    if "--ckpt_path" in arguments:
        place = arguments.index("--ckpt_path")
        given = arguments[place + 1 : place + 2]
        arguments = arguments[:place] + arguments[place + 2 :]
    arguments = [w for w in arguments if not w.startswith("--ckpt_path=")]
    checkpoint = find_checkpoint(given[0] if given else "")
    run = run_of(checkpoint)
    return (run / "config.yaml" if run else base), [*arguments, f"--ckpt_path={checkpoint}"]


def plugins(arguments: list[str]) -> list[str]:
    """Files named by `--plugin` or by the key `plugin` of a config."""
    found: list[str] = []
    for i, word in enumerate(arguments):
        if word == "--plugin":
            rest = arguments[i + 1 :]
            found += rest[: next((k for k, w in enumerate(rest) if w.startswith("--")), len(rest))]
        elif word.startswith("--plugin="):
            found.append(word.partition("=")[2])
        elif word.startswith("--config="):
            named = (yaml.safe_load(Path(word.partition("=")[2]).read_text()) or {}).get("plugin", [])
            found += [named] if isinstance(named, str) else named
    return list(dict.fromkeys(found))


def known_settings(*classes: type) -> list[str]:
    """Dotted names of the settings of model, data, parts and trainer, to find the one that was meant."""
    groups = {"model": classes[0], "data": classes[1], "trainer": Trainer, **PARTS}
    names = [f"{g}.{n}" for g, c in groups.items() for n in signature(c.__init__).parameters if n != "self"]  # type: ignore[misc]
    return [*names, "name", "plugin", "task", "config", "ckpt_path", "seed_everything"]


def explain(error: Exception, known: Sequence[str]) -> str:
    """One sentence out of a parser's error, with the nearest setting there is."""
    text = " ".join(str(error).split())
    match = re.search(r"option '([\w.\-]+)'|Option '([\w.\-]+)' is not|[Uu]nrecognized arguments: --([\w.\-]+)", text)
    if match:
        wrong = next(g for g in match.groups() if g)
        close = get_close_matches(wrong, known, n=1)
        return f"there is no setting {wrong!r}" + (f"; did you mean {close[0]!r}?" if close else "")
    return text


PARSER_ERRORS = (ArgumentError,)
