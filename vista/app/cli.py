"""LightningCLI with the parts of VistaLLM as groups of settings, run folders, and errors in one sentence."""

import json
import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from datetime import timedelta
from inspect import signature
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from vista.app.errors import settings_blamed
from vista.app.runs import find_checkpoint, find_file, new_run, run_of
from vista.codec.codec import Codec
from vista.data import InputError
from vista.models.parts import LLM, Encoder, QFormer
from vista.tokens.tokenizer import Tokenizer
from vista.training.checkpoints import read_checkpoint, write_checkpoint

MakeCallbacks = Callable[[Path, Path | None], Sequence[Callback]]
PARTS = {"encoder": Encoder, "qformer": QFormer, "llm": LLM, "tokenizer": Tokenizer, "codec": Codec}
# Of every size and place; a stage says for how many epochs it trains.
TRAINER_DEFAULTS = {
    "max_epochs": 1, "gradient_clip_val": 1.0, "log_every_n_steps": 10, "num_sanity_val_steps": 0,
}  # fmt: skip
# Settings that name a file or a folder, which may be one of the project's own.
FILES = (
    ("tokenizer", "folder"), ("tokenizer", "instructions"), ("encoder", "weights"), ("qformer", "weights"),
    ("llm", "weights"), ("model", "weights"),
)  # fmt: skip


class CheckpointFile(TorchCheckpointIO):
    """Checkpoints of one file are whole or not there.

    Lightning writes them to the system's temporary folder, which must have room for all of it, and then copies where
    that is another disk: a kill or a full disk in between leaves half a file in the place of a whole one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write what `Trainer.save_checkpoint` collects; there are no options."""
        write_checkpoint(checkpoint, Path(path))


class LastCheckpoint(ModelCheckpoint):
    """Also written when a run breaks off, if every process is there to write it."""

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save where no other process is waited for in vain: alone, or after a signal, on which all have agreed."""
        if trainer.world_size == 1 or isinstance(exception, SIGTERMException):
            super().on_exception(trainer, pl_module, exception)


class RunFolder(Callback):
    """Writes `config.yaml` when training begins and `done.json` when it has ended, so that `test` finds the run."""

    def __init__(self, folder: Path, config: str, save_every: int = 0) -> None:
        """Keep what is written.

        Args:
            folder: of the run; made when the data was read without a complaint.
            config: all settings as YAML.
            save_every: steps from one checkpoint to the next, beside those of each epoch; 0: one every half hour.
        """
        self.folder, self.config = folder, config
        # Two callbacks: with `save_last` Lightning keeps only those last checkpoints that are the best, too.
        self.best = ModelCheckpoint(folder / "checkpoints", "best", monitor="val/mean", mode="max")
        self.last = LastCheckpoint(
            folder / "checkpoints", "last", enable_version_counter=False, save_on_train_epoch_end=True,
            save_on_exception=True,
        )  # fmt: skip
        # Two of them: the older one is there while the newer one is written.
        self.recent = ModelCheckpoint(
            folder / "checkpoints", "{step}", monitor="step", mode="max", save_top_k=2,
            every_n_train_steps=save_every or None, train_time_interval=None if save_every else timedelta(minutes=30),
        )  # fmt: skip

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write checkpoints whole, unless a plugin writes them in its own way."""
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = CheckpointFile()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the whole configuration beside the run."""
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "config.yaml").write_text(self.config)
            print(f"run: {self.folder}")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Name the best checkpoint, or the last one where none was scored."""
        folder = self.folder.resolve()
        paths = [Path(p) for p in (self.best.best_model_path, self.last.best_model_path) if p]
        own = [
            p for p in paths if p.is_relative_to(folder)
        ]  # a resumed run remembers the best of the run before it
        if trainer.is_global_zero and own and not trainer.interrupted:
            content = {"checkpoint": str(own[0].relative_to(folder)), "step": trainer.global_step}
            (self.folder / "done.json").write_text(json.dumps(content) + "\n")


class VistaCLI(LightningCLI):
    """The verbs `fit`, `validate`, `test` and `predict`."""

    def __init__(
        self, model: Any, data: Any, make_callbacks: MakeCallbacks, name: str, arguments: list[str]
    ) -> None:
        """Parse, build and run.

        Args:
            model: class of the LightningModule.
            data: class of the LightningDataModule.
            make_callbacks: the callbacks of a run, given its folder.
            name: of the run, if `--name` says nothing else.
            arguments: verb and settings, with the paths of config files resolved.
        """
        self.make_callbacks, self.default_name = make_callbacks, name
        sys.argv[1:] = arguments  # passing `args` while sys.argv is not empty warns on each run
        super().__init__(
            model,
            data,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False}
            | {
                v: {"exit_on_error": False, "allow_abbrev": False}
                for v in ("fit", "validate", "test", "predict")
            },
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Every part is a group of settings; parts are built first and handed to model and data."""
        for group, part in PARTS.items():
            parser.add_class_arguments(part, group)
            parser.link_arguments(group, f"model.{group}", apply_on="instantiate")
        for group in ("tokenizer", "codec"):
            parser.link_arguments(group, f"data.{group}", apply_on="instantiate")
        for group, size in (("llm", len), ("qformer", attrgetter("instruction_size"))):
            parser.link_arguments(
                "tokenizer", f"{group}.vocab_size", compute_fn=size, apply_on="instantiate"
            )
        parser.link_arguments("encoder.hidden_size", "qformer.encoder_hidden_size")
        parser.link_arguments("encoder.image_size", "data.image_size")
        parser.link_arguments("qformer.num_queries", "data.num_queries")
        parser.add_argument(
            "--name", type=str, default=self.default_name, help="folder of the run below runs/"
        )
        parser.add_argument(
            "--save_every",
            type=int,
            default=0,
            help="steps from one checkpoint to the next; 0: one every half hour",
        )
        parser.add_argument(
            "--plugin", type=str, nargs="*", default=[], help="Python files with tasks, readers"
        )

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})  # no code in a checkpoint is run
        if subcommand in ("validate", "test"):
            parser.set_defaults({"verbose": False})  # the table of scores is enough
        if subcommand != "fit":
            parser.add_argument(
                "--task",
                nargs="+",
                type=str,
                default=None,
                help="tasks to run, of those with a source",
            )
        if subcommand == "predict":
            parser.add_argument(
                "--images",
                nargs="+",
                type=str,
                default=[],
                help="image files, in the prompt's order",
            )
            parser.add_argument(
                "--text", type=str, default="", help="the expression, question or statement"
            )
            parser.add_argument(
                "--out", type=Path, default=Path("answer.png"), help="where the picture goes"
            )
        return parser

    def _parse_ckpt_path(self) -> None:
        """Leave the checkpoint alone: Lightning would read all of it for hyper-parameters that it does not hold."""

    @property
    def verb_config(self) -> Any:
        """Settings of the verb that runs."""
        return self.config[self.subcommand]

    def before_instantiate_classes(self) -> None:
        """Resolve names of runs and files, and choose tasks."""
        config = self.verb_config
        for group, key in FILES:
            config[group][key] = find_file(config[group][key])
        checkpoint = find_checkpoint(config.ckpt_path) if config.ckpt_path else None
        if checkpoint:
            config.ckpt_path, config.model.init_from = checkpoint, None  # it holds all weights
            if checkpoint.is_file() or self.subcommand == "fit":
                read_checkpoint(checkpoint, lazy=True)
            else:  # any number of processes may score the weights of a sharded run
                config.ckpt_path, config.model.init_from = None, checkpoint
        elif config.model.init_from:
            config.model.init_from = find_checkpoint(config.model.init_from)
        if config.get("task"):
            config.data.tasks, config.data.replay_tasks = list(config.task), []
        if self.subcommand == "predict" and (not config.get("task") or not config.images):
            raise InputError(
                "predict needs --images FILE ... and --task NAME, and --text for what is asked"
            )
        run = run_of(checkpoint) if checkpoint and self.subcommand != "fit" else None
        if config.trainer.fast_dev_run:
            self.dry = TemporaryDirectory()  # removed with this object
        self.folder = (
            Path(self.dry.name)
            if config.trainer.fast_dev_run
            else (run or new_run(config.name)).absolute()
        )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer with the callbacks and loggers of the run."""
        config = self.verb_config
        callbacks = list(self.make_callbacks(self.folder, config.get("out")))
        kwargs["logger"] = False
        if self.subcommand == "fit" and not config.trainer.fast_dev_run:
            run = RunFolder(
                self.folder, self._parser("fit").dump(config, skip_unset=False), config.save_every
            )
            callbacks += [run, run.best, run.last, run.recent, LearningRateMonitor("step")]
            kwargs["logger"] = [
                TensorBoardLogger(self.folder, "", "logs"),
                CSVLogger(self.folder, "", "logs"),
            ]
        if sys.stdout.isatty():
            callbacks.append(RichProgressBar())
        else:
            kwargs["enable_progress_bar"] = False
        if self.subcommand == "predict":  # one question, however many processes trained the model
            kwargs |= {"devices": 1, "num_nodes": 1, "strategy": "auto"}
        # The data give each process its share by themselves.
        kwargs.update(
            default_root_dir=self.folder, enable_model_summary=False, use_distributed_sampler=False
        )
        trainer_config = {**self._get(self.config_init, "trainer", default={}), **kwargs}
        with settings_blamed():
            return self._instantiate_trainer(trainer_config, callbacks)

    def before_fit(self) -> None:
        """Say what is trained.

        Raises:
            InputError: samples may be longer than the language model.
        """
        most, positions = (
            self.datamodule.max_tokens,
            self.model.model.language_model.config.max_position_embeddings,
        )
        if most > positions:
            raise InputError(
                f"--data.max_tokens is {most}, more than the LLM's {positions} (--llm.max_positions)"
            )
        if self.trainer.is_global_zero:
            print_parts(self.model)

    def before_predict(self) -> None:
        """Hand the question to the data."""
        self.datamodule.question_images = list(self.verb_config.images)
        self.datamodule.question_text = self.verb_config.text

    def before_test(self) -> None:
        """Say what is scored."""
        if self.trainer.is_global_zero:
            print(f"checkpoint: {self.verb_config.ckpt_path or self.verb_config.model.init_from}")

    before_validate = before_test


def print_parts(module: LightningModule) -> None:
    """A line for each part: parameters and whether it is trained."""
    for name, part in module.model.named_children():  # type: ignore[union-attr,operator]
        total = sum(p.numel() for p in part.parameters())
        trained = sum(p.numel() for p in part.parameters() if p.requires_grad)
        print(
            f"  {name:20s} {total:>13,} parameters, {100 * trained / max(1, total):.0f} % trained"
        )


class PretrainingCLI(LightningCLI):
    """The verb `pretrain`: an encoder under dense supervision."""

    def __init__(self, model: Any, data: Any, arguments: list[str]) -> None:
        """Parse, build and run; arguments with the paths of config files resolved."""
        sys.argv[1:] = arguments
        parser = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            model,
            data,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_defaults={
                "logger": False,
                "enable_checkpointing": False,
                "enable_model_summary": False,
            },
            parser_kwargs=parser | {"fit": parser},
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The encoder is a group of settings of its own, as in `fit`."""
        parser.add_class_arguments(Encoder, "encoder")
        parser.link_arguments("encoder", "model.encoder", apply_on="instantiate")
        parser.link_arguments("encoder.image_size", "data.image_size")
        parser.link_arguments("encoder.patch_size", "data.patch_size")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer as the settings want it."""
        with settings_blamed():
            return super().instantiate_trainer(**kwargs)


def known_settings(*classes: type) -> list[str]:
    """Dotted names of the settings of model, data, parts and trainer, to find the one that was meant."""
    groups = {"model": classes[0], "data": classes[1], "trainer": Trainer, **PARTS}
    names: list[str] = []
    for group, part in groups.items():
        names += _settings_of(part, group)
    others = (
        "name",
        "plugin",
        "task",
        "config",
        "ckpt_path",
        "seed_everything",
        "images",
        "text",
        "out",
        "print_config",
    )
    return [*names, *others]


def _settings_of(part: type, prefix: str) -> list[str]:
    """Dotted names of the arguments of a class; an argument that is a dataclass is a group of its own."""
    names = []
    for name, parameter in signature(part).parameters.items():
        names.append(f"{prefix}.{name}")
        if is_dataclass(parameter.default):
            names += _settings_of(type(parameter.default), names[-1])
    return names


PARSER_ERRORS = (ArgumentError, MisconfigurationException)
