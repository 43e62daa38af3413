"""LightningCLI with the parts of VistaLLM as groups of settings, run folders, and errors in one sentence."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import product
from operator import attrgetter
from pathlib import Path
from shutil import rmtree
from typing import Any

import yaml
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_only

from vista.app.errors import settings_blamed
from vista.app.loggers import loggers_of
from vista.app.parts import PARTS, SHOWN, WITH_WEIGHTS, laid_out, print_parts
from vista.app.resume import check_resume, check_states
from vista.app.run_folder import OneFolder, RunFolder
from vista.app.runs import (
    RUNS,
    find_checkpoint,
    find_file,
    new_run,
    remove_empty,
    remove_leftovers,
    run_of,
)
from vista.app.strict_cli import StrictCLI
from vista.app.through import finish, is_through, say_through
from vista.data import InputError
from vista.full_disk import is_full
from vista.leftovers import held, temporary_folder
from vista.models.towers import width_of
from vista.printable import say
from vista.training.checkpoints import read_checkpoint, read_states

MakeCallbacks = Callable[[Path, Path | None, bool], Sequence[Callback]]
ONE_ANSWER = Path("answer.png")
# Of every size and place; a stage says for how many epochs it trains.
TRAINER_DEFAULTS = {
    "max_epochs": 1, "gradient_clip_val": 1.0, "log_every_n_steps": 10, "num_sanity_val_steps": 0,
}  # fmt: skip
SHARDED = "vista.training.sharded_strategy.ShardedStrategy"
# Ours takes its place: this one writes its checkpoints over those before, and reads parts of them as pickles.
LIGHTNING_SHARDED = "lightning.pytorch.strategies.ModelParallelStrategy"
# Settings that name a file or a folder, which may be one of the project's own.
FILES = (
    ("tokenizer", "folder"), ("tokenizer", "instructions"), ("model", "weights"),
    *product(WITH_WEIGHTS, ("weights", "architecture")),
)  # fmt: skip


class VistaCLI(StrictCLI):
    """The verbs `fit`, `validate`, `test` and `predict`."""

    def __init__(
        self,
        model: type[LightningModule],
        data: type[LightningDataModule],
        make_callbacks: MakeCallbacks,
        name: str,
        arguments: list[str],
    ) -> None:
        """Parse, build and run.

        Args:
            model: class of the LightningModule.
            data: class of the LightningDataModule.
            make_callbacks: the callbacks of a run, given its folder, where `predict` writes and whether that is much.
            name: of the run, if `--name` says nothing else.
            arguments: verb and settings, with the paths of config files resolved.
        """
        self.make_callbacks, self.default_name = make_callbacks, name
        self.made: Path | None = None
        self.questions: list[Any] = []  # of `predict`, where there are many
        groups = {"model": model, "data": data, **PARTS}
        verbs = ("fit", "validate", "test", "predict")
        with ExitStack() as self.in_use:  # folders that this process works in
            try:
                super().__init__(groups, verbs, arguments, TRAINER_DEFAULTS)
            except OSError as error:
                self._name_full_disk(error)
                raise
            finally:
                self._tidy()

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
        filled_in = {f"data.{setting}": ("encoder", value) for setting, value in SHOWN.items()}
        filled_in["qformer.encoder_hidden_size"] = ("encoder", width_of)
        filled_in["data.num_queries"] = ("qformer", attrgetter("num_queries"))
        for setting, (group, value) in filled_in.items():
            parser.link_arguments(group, setting, compute_fn=value, apply_on="instantiate")
        name_help = "folder of the run below runs/"
        parser.add_argument("--name", type=str, default=self.default_name, help=name_help)
        save_help = "steps from one checkpoint to the next; 0: one every half hour"
        parser.add_argument("--save_every", type=int, default=0, help=save_help)
        plugin_help = "Python files that bring tasks and readers"
        parser.add_argument("--plugin", type=list[str], default=[], help=plugin_help)
        task_help = (
            "tasks to train on or to run, of those with a source, in the place of data.tasks"
        )
        parser.add_argument("--task", type=list[str], default=[], help=task_help)

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})  # no code in a checkpoint is run
        if subcommand in ("validate", "test"):
            parser.set_defaults({"verbose": False})  # the table of scores is enough
        if subcommand == "predict":
            images_help = "image files, in the prompt's order, or folders; tasks of one image are asked about each"
            parser.add_argument("--images", type=list[str], default=[], help=images_help)
            questions_help = "JSONL with a question a line (image, task, text), in the place of --images and --text"
            parser.add_argument("--questions", type=str, default="", help=questions_help)
            text_help = "the expression, question or statement"
            parser.add_argument("--text", type=str, default="", help=text_help)
            out_help = "where the picture goes; of many questions a folder, else answers/: a next call goes on there"
            parser.add_argument("--out", type=Path, default=ONE_ANSWER, help=out_help)
        return parser

    def _take_questions(self) -> None:
        """See how many questions are asked.

        Raises:
            InputError: none, or they cannot be read.
        """
        config = self.verb_config
        if not config.questions and not (config.task and config.images):
            raise InputError(
                "predict needs --images FILE ... and --task NAME, and --text for what is asked; or --questions FILE"
            )
        task = config.task[0] if len(config.task) == 1 else ""
        asked: Any = self.datamodule_class
        self.questions = asked.asked(config.images, config.questions, config.text, task)
        if self.questions and config.out == ONE_ANSWER:
            config.out = Path("answers")
        if self.questions and config.out.suffix == ".png":
            raise InputError(f"--out is {config.out}; answers to many questions go into a folder")

    def _parse_ckpt_path(self) -> None:
        """Leave the checkpoint alone: Lightning would read all of it for hyper-parameters that it does not hold."""

    @property
    def verb_config(self) -> Any:
        """Settings of the verb that runs."""
        return self.config[self.subcommand]

    def instantiate_classes(self) -> None:
        """Build all, parts whose weights are in files without memory: `VistaModule.configure_model` fills them."""
        build = partial(laid_out, self.verb_config.model.init_from is not None)
        parts = [(build, part, True) for part in WITH_WEIGHTS.values()]
        # Lightning calls it by this name, and has nothing to say about how parts are built.
        self.parser.instantiate_classes = partial(self.parser.instantiate, instantiators=parts)
        super().instantiate_classes()

    def before_instantiate_classes(self) -> None:
        """Resolve names of runs and files, and choose tasks.

        Raises:
            InputError: there is no such run, `predict` lacks its question, or another folder is asked for.
        """
        config = self.verb_config
        if config.trainer.default_root_dir:
            raise InputError(
                "--trainer.default_root_dir is not used: a run writes to runs/NAME below the working folder, choose "
                "the name by --name"
            )
        for group, key in FILES:
            config[group][key] = find_file(config[group][key])
        if self.subcommand == "predict":
            self._take_questions()
        if config.task:
            config.data.tasks = list(config.task)
            if self.subcommand != "fit":
                config.data.replay_tasks = []
            config.task = []  # a run's config names its tasks once: another `data.tasks` replaces them
        if getattr(config.trainer.strategy, "class_path", None) == LIGHTNING_SHARDED:
            config.trainer.strategy.class_path = SHARDED
        run = self._resolve_checkpoint()
        if config.trainer.fast_dev_run:
            self.folder = self.in_use.enter_context(temporary_folder("vista-dry-"))
        else:
            self.folder = (run or self._new_folder()).absolute()
            if is_first_process():
                remove_leftovers(self.folder)
                self.in_use.enter_context(held(self.folder))

    def _new_folder(self) -> Path:
        """A folder of this run alone, made before anything else; to other processes its name is a guess at first."""
        name = self.verb_config.name
        if is_first_process():
            self.made = new_run(name)
        return self.made or RUNS / name

    def _tidy(self) -> None:
        """Take away a folder that nothing was written into, but for logs of a training that never began."""
        if self.made is None:
            return
        if self.subcommand == "fit" and not (self.made / "config.yaml").exists():
            rmtree(self.made / "logs", ignore_errors=True)
        remove_empty(self.made)

    def _resolve_checkpoint(self) -> Path | None:
        """Paths in the place of the names of runs; the run that is scored, if it is one."""
        config = self.verb_config
        if not config.ckpt_path:
            if config.model.init_from:
                config.model.init_from = find_checkpoint(config.model.init_from)
            return None
        checkpoint = find_checkpoint(config.ckpt_path)
        config.ckpt_path, config.model.init_from = checkpoint, None  # it holds all weights
        read_checkpoint(checkpoint, lazy=True)  # compares its sum, which Lightning does not
        if self.subcommand == "fit":
            check_states(checkpoint, resumed=True)
            check_resume(checkpoint, yaml.safe_load(self._settings()))
            if checkpoint.is_dir() and SHARDED not in str(config.trainer.strategy):
                raise InputError(
                    f"{checkpoint} is sharded; only processes that share the weights resume it: --config fsdp.yaml"
                )
            self._finish_if_through(checkpoint)
        elif checkpoint.is_file():
            check_states(checkpoint, resumed=False)
        else:  # any number of processes may score the weights of a folder
            config.ckpt_path, config.model.init_from = None, checkpoint
        return run_of(checkpoint) if self.subcommand != "fit" else None

    def _finish_if_through(self, checkpoint: Path) -> None:
        """End here where nothing is left to train: no folder is made for it. Else what kills have left is removed."""
        run, limits = run_of(checkpoint), self.verb_config.trainer
        if run is not None and is_first_process():
            remove_leftovers(run)
        if limits.fast_dev_run or not is_through(read_states(checkpoint), limits):
            return
        if is_first_process():
            finish(checkpoint)
            say_through(checkpoint)
        sys.exit()

    def _name_full_disk(self, error: OSError) -> None:
        """What can be done depends on what was saved.

        Raises:
            InputError: names the folder of the run, and whether there is something to go on from.
        """
        if not is_full(error) or self.subcommand == "predict" or not hasattr(self, "folder"):
            return
        run = self.folder.relative_to(Path.cwd()) if self.made else self.folder
        advice = "free some space and begin again"
        if self.subcommand != "fit":
            advice = "free some space and begin again; answers that were written are kept"
        elif any((run / "checkpoints").glob("*.ckpt")):
            advice = (
                f"free some space, then resume with `--ckpt_path {run}`; what was saved is kept"
            )
        raise InputError(f"the disk of {run} is full; {advice}") from error

    def _settings(self) -> str:
        """All settings as YAML."""
        return str(self._parser(self.subcommand).dump(self.verb_config, skip_unset=False))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer with the callbacks and loggers of the run."""
        config = self.verb_config
        made = self.make_callbacks(self.folder, config.get("out"), bool(self.questions))
        callbacks: list[Callback] = [OneFolder(self.folder), *made]
        given = self._get(self.config_init, "trainer", default={})
        training = self.subcommand == "fit" and not config.trainer.fast_dev_run
        loggers = loggers_of(given.get("logger"), self.folder, training)
        kwargs["logger"] = loggers or False
        if training:
            run = RunFolder(self.folder, self._settings(), config.save_every)
            callbacks += [run, run.best, run.last, run.recent]
            callbacks += [LearningRateMonitor("step")] * bool(loggers)  # it wants one
        shows_progress = given.get("enable_progress_bar")
        if sys.stdout.isatty() and shows_progress is not False:
            callbacks.append(RichProgressBar())
        elif shows_progress is None:
            kwargs["enable_progress_bar"] = False
        if self.subcommand == "predict":  # one question, however many processes trained the model
            kwargs |= {"devices": 1, "num_nodes": 1, "strategy": "auto"}
        # Parameters are counted by `print_parts`, unless more is asked for.
        kwargs["enable_model_summary"] = bool(given.get("enable_model_summary"))
        # The data give each process its share by themselves.
        kwargs.update(default_root_dir=self.folder, use_distributed_sampler=False)
        trainer_config = {**given, **kwargs}
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
        self.datamodule.questions, self.datamodule.answers = self.questions, self.verb_config.out

    def before_test(self) -> None:
        """Say what is scored; a folder that is not a run's keeps the settings beside the answers, for `score`."""
        if self.made is not None:
            (self.made / "config.yaml").write_text(self._settings())
        if self.trainer.is_global_zero:
            say(f"checkpoint: {self.verb_config.ckpt_path or self.verb_config.model.init_from}")

    before_validate = before_test


def is_first_process() -> bool:
    """Whether this process is the first of a run, before the processes know each other."""
    # Where nobody counts processes over nodes, each node's first one is told the number of its node alone.
    first: bool = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    return first and os.environ.get("NODE_RANK", "0") == "0"
