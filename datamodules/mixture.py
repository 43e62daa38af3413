"""The data of a run: a mixture of sources to train on, and the sources that are scored.

MixtureData(root=Path("data/world"), sources={"rec_refcoco": Source(task="rec", dataset="refcoco", ...)}, ...)
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.asked_by_person import ANSWERS, Question, asked, sources_of
from datamodules.choice import Choice
from datamodules.compiled import Annotations
from datamodules.dataset import Encoding, TrainingSet
from datamodules.groups import shared_images
from datamodules.leakage import images_tested, keep_clean, read_tested
from datamodules.listing import Listing
from datamodules.missing import check_split, with_images
from datamodules.order import GlobalBatches, Order
from datamodules.questions import EvaluationSet, limit, of_a_person, with_unseen_prompts
from datamodules.readers import READERS
from datamodules.resumable import ResumableData
from datamodules.settings import SampleOrder, Scoring, World
from datamodules.source import LoadedSource, Source, check_names
from datamodules.splits import Splits
from datamodules.synthetic.files import UNFINISHED, WorldError
from datamodules.synthetic.world import write_world
from datamodules.timed_loader import TimedLoader
from tasks import Task
from vista.codec.codec import Codec
from vista.data import Annotation, InputError, MissingFileError
from vista.decoding.loss_weights import LossPer
from vista.first_process import on_first
from vista.full_disk import full_disk_named
from vista.images import CLIP_MEAN, CLIP_STD, ImageTransform
from vista.leftovers import claim, remove_unused
from vista.printable import say
from vista.tokens.batch_types import Batch, EvaluationBatch, TrainingBatch
from vista.tokens.chat import Template, chat_of
from vista.tokens.tokenizer import Tokenizer

T = TypeVar("T")


class MixtureData(ResumableData):
    """Reads the sources of the chosen tasks and serves batches."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        codec: Codec,
        sources: dict[str, Source],
        root: Path = Path("data/world"),
        tasks: list[str] | None = None,
        replay_tasks: list[str] | None = None,
        replay: float = 0.0,
        image_size: int = 96,
        image_mean: tuple[float, float, float] = CLIP_MEAN,
        image_std: tuple[float, float, float] = CLIP_STD,
        num_queries: int = 8,
        template: Template = "plain",
        batch_size: int = 64,
        max_tokens: int = 2048,
        loss_per: LossPer = "token",
        num_workers: int = 1,
        cache: Path = Path("data/compiled"),
        allow_missing: bool = False,
        drop_test_images: bool = True,
        order: SampleOrder = SampleOrder(),
        scoring: Scoring = Scoring(),
        world: World = World(),
    ) -> None:
        """Keep the settings; nothing is read before `setup`.

        Args:
            tokenizer: of the language model.
            codec: how regions are written as text.
            sources: by name; those whose task is chosen are used.
            root: data root. If it does not exist and is named `world`, the generated world is written there.
            tasks: tasks to train on and to score; `single_image` and `multi_image` stand for all of that kind that
                have a source; none: all that have a source.
            replay_tasks: tasks of an earlier stage that are trained on along with `tasks`, so that they are kept.
            replay: share of the samples that `replay_tasks` get.
            image_size: side S of the square that the encoder sees, filled in by the command line.
            image_mean: of the pixels of each channel on the scale 0..1, filled in by the command line.
            image_std: their deviation, filled in by the command line.
            num_queries: visual tokens L per image, filled in by the command line.
            template: conversation form, `plain`, `vicuna_v1` or the LLM's `own` chat template.
            batch_size: samples in a global batch, over all processes.
            max_tokens: longest sequence; a longer sample is not learned from.
            loss_per: what weighs alike in the loss: every `token` of an answer (the paper's plain mean), or every
                `decision`, a word as much as a whole mask (`vista/decoding/loss_weights.py`).
            num_workers: loader processes.
            cache: where annotations are kept once they are compiled (`datamodules/compiled.py`); it may be deleted.
            allow_missing: go on without images that are missing, however many: training samples are left out, and
                questions count as wrong.
            drop_test_images: leave out training samples whose image is tested on by any source of the config.
            order: of training samples.
            scoring: how many questions are scored.
            world: the generated world.
        """
        super().__init__(batch_size)
        if template == "own":
            chat_of(tokenizer)  # refused now, not by the first sample
        self.tokenizer, self.codec, self.sources, self.root = tokenizer, codec, sources, root
        self.choice = Choice(sources, tasks, replay_tasks, replay)
        self.order, self.scoring, self.world = order, scoring, world
        transform = ImageTransform(image_size, image_mean, image_std)
        self.encoding = Encoding(tokenizer, transform, num_queries, template)
        self.max_tokens, self.loss_per = max_tokens, loss_per
        self.num_workers = num_workers
        self.allow_missing, self.drop_test_images = allow_missing, drop_test_images
        # Splits that were read and whose images nobody has looked for yet.
        self.unseen: list[tuple[str, Annotations, Path]] = []
        self.splits = Splits(root, codec, cache, lambda *split: self.unseen.append(split))
        self.question_images: list[str] = []
        self.question_text = ""
        self.questions: list[Question] = []  # many, in the place of the one
        self.answers = Path()  # folder of those that are answered already
        self.train_sources: list[LoadedSource] = []
        self.eval_sources: list[LoadedSource] = []
        # A split may have fewer questions than there are processes.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    asked = staticmethod(asked)  # for the command line, which knows this class alone

    def prepare_data(self) -> None:
        """Write the generated world where it is wanted and missing, and compile annotations, in one process.

        A person's own question needs no data. What is wrong with a source is said by `setup`, in every process.
        """
        stage = None if self.trainer is None else self.trainer.state.fn
        if stage == "predict":
            return
        if self.root.name == "world":
            self._write_world()
        elif not self.root.is_dir():
            raise MissingFileError(self._missing_root())
        # One process reads the official files; the others open what it has compiled.
        if stage is not None:
            with suppress(FileNotFoundError, ValueError):
                self._compile(stage)

    def _write_world(self) -> None:
        advice = "free some space, or name a folder on another disk by --data.root"
        remove_unused(self.root.parent.glob(f".{self.root.name}{UNFINISHED}*"))
        try:
            with full_disk_named(self.root.parent, advice):
                write_world(self.root, num_train=self.world.scenes, formats=self.world.formats)
        except WorldError as error:
            raise InputError(str(error)) from error

    def _missing_root(self) -> str:
        """A sentence that names the root, and where the first source's files are to be had."""
        sentence = f"the data root {self.root} is not there; name it by --data.root"
        for name, source in self.sources.items():
            address = READERS[source.dataset].source
            return f"{sentence}: source {name} needs {source.dataset}, see {address}"
        return sentence

    def _compile(self, stage: str) -> None:
        """Read all that `setup` opens."""
        claim(self.splits.folder)
        if stage == "fit":
            self.splits.load(self.choice.trained_on(), "train", written=True)
            if self.drop_test_images:
                read_tested(self.sources, self.splits.read)
        self.splits.load(self.choice.scored(), "test" if stage == "test" else "val")

    def setup(self, stage: str) -> None:
        """Open what the stage needs: `fit`, `validate`, `test` or `predict`."""
        listing = Listing()  # each folder is listed once
        if stage == "fit":
            self._setup_training(listing)
        if stage in ("fit", "validate"):
            self.eval_sources = self.splits.load(self.choice.scored(), "val")
            on_first(partial(self._look_for_images, listing))
            limit(self.eval_sources, self.scoring.max_val)
        if stage == "test":
            self._setup_test(listing)
        if stage == "predict":
            self.eval_sources = self._asked()
        if stage != "fit" and not self.eval_sources and not self.questions:
            raise InputError(f"none of the chosen tasks has a source with a split to {stage}")

    def _setup_training(self, listing: Listing) -> None:
        """Load the training splits and fix how many samples of each an epoch holds."""
        self.train_sources = self.splits.load(self.choice.trained_on(), "train", written=True)
        usable = on_first(partial(self._usable, listing))
        for source, annotations in zip(self.train_sources, usable, strict=True):
            source.annotations = annotations
        most = self.order.questions_per_image
        self.train_order = Order(
            [shared_images(source.annotations, most) for source in self.train_sources],
            self.choice.weights(self.train_sources),
            self.order.seed,
            self.order.epoch_samples,
            self.order.sorted_epochs,
        )
        self.order_of = {
            "--data.order.seed": self.order.seed,
            "--data.order.sorted_epochs": self.order.sorted_epochs,
        }
        for source, samples in zip(self.train_sources, self.train_order.described(), strict=True):
            line = self.sources[source.name]
            what = f"{line.task} on {line.dataset} {line.train}, {samples}"
            self.order_of[f"source {source.name}"] = what

    def _look_for_images(self, listing: Listing) -> None:
        """Name what cannot be used of the splits that were read since the last look."""
        while self.unseen:
            what, annotations, root = self.unseen.pop(0)
            check_split(what, annotations, root, listing, self.allow_missing)

    def _usable(self, listing: Listing) -> list[Sequence[Annotation]]:
        """What of the training sources is there, and is not what `python main.py data audit` finds."""
        tested = images_tested(self.sources, self.splits.read) if self.drop_test_images else None
        self._look_for_images(listing)
        # Before images that are tested on are left out, so that those are counted among samples that are there.
        if self.allow_missing:
            for source in self.train_sources:
                source.annotations = with_images(source.annotations, source.root, listing)
        notes = keep_clean(self.train_sources, *tested) if tested else []
        if notes:
            say(*notes)
        return [source.annotations for source in self.train_sources]

    def _setup_test(self, listing: Listing) -> None:
        """Load what `test` scores, and the same in prompts that are never trained on."""
        self.eval_sources = self.splits.load(self.choice.scored(), "test")
        on_first(partial(self._look_for_images, listing))
        check_names(self.eval_sources)
        # Before the limit: each of the two has one of its own.
        unseen = with_unseen_prompts(self.eval_sources) if self.scoring.unseen_prompts else []
        limit(self.eval_sources, self.scoring.max_test)
        limit(unseen, self.scoring.unseen_prompts)
        self.eval_sources += unseen

    def _asked(self) -> list[LoadedSource]:
        self.encoding.exif = True
        if self.questions:
            return sources_of(self.questions, self.codec, self.answers / ANSWERS)
        return [self._question()]

    def _question(self) -> LoadedSource:
        tasks = self.choice.tasks or []
        if len(tasks) != 1:
            raise InputError(f"a question is of one task, not of {', '.join(tasks) or 'none'}")
        task = Task.known[tasks[0]](self.codec)
        return of_a_person(task, self.question_images, self.question_text)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> dict[str, object]:
        """Tensors move, and images are normalised there; what Lightning would copy field by field stays."""
        moved: dict[str, Any] = dict(batch)
        for key, value in moved.items():
            if isinstance(value, torch.Tensor):
                moved[key] = value.to(device, non_blocking=True)
        moved["pixel_values"] = self.encoding.transform.normalised(moved["pixel_values"])
        return moved

    def train_dataloader(self) -> DataLoader[TrainingBatch]:
        """Batches of the current epoch, from the current batch on."""
        dataset = TrainingSet(
            self.train_sources, self.encoding, self.order.seed, self.max_tokens, self.loss_per
        )
        trainer = self.trainer
        if trainer is None:
            return self._loader(dataset, GlobalBatches(self.train_order, self.batch_size))
        # A resumed run begins at its position; later epochs from their first batch.
        began = (self.resumed.epoch, self.resumed.batch) if self.resumed else (0, 0)
        epoch, start = max(began, (trainer.current_epoch, 0))
        self.batches = GlobalBatches(
            self.train_order, self.batch_size, trainer.global_rank, trainer.world_size, epoch, start
        )
        return self._loader(dataset, self.batches)

    def val_dataloader(self) -> list[DataLoader[EvaluationBatch]]:
        """One loader for each scored source."""
        return [self._evaluation_loader(source) for source in self.eval_sources]

    test_dataloader = val_dataloader

    def predict_dataloader(self) -> list[DataLoader[EvaluationBatch]]:
        """A person's questions, without a process that would have to be started for them."""
        size = self.scoring.eval_batch_size
        sets = [EvaluationSet(source, self.encoding) for source in self.eval_sources]
        return [DataLoader(each, batch_size=size, collate_fn=_as_is) for each in sets]

    def _evaluation_loader(self, source: LoadedSource) -> DataLoader[EvaluationBatch]:
        """This process's share: every n-th question, where n processes ask."""
        trainer, size = self.trainer, self.scoring.eval_batch_size
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        indices = list(range(rank, len(source.annotations), world_size))
        batches = [indices[start : start + size] for start in range(0, len(indices), size)]
        return self._loader(EvaluationSet(source, self.encoding), batches)

    def _loader(self, dataset: Dataset[T], batches: Iterable[list]) -> DataLoader[T]:
        kind = TimedLoader if self.num_workers else DataLoader
        return kind(dataset, batch_sampler=batches, num_workers=self.num_workers, collate_fn=_as_is)


def _as_is(batch: T) -> T:
    """The data sets collate by themselves."""
    return batch
