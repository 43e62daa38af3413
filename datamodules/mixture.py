"""The data of a run: a mixture of sources to train on, and the sources that are scored.

MixtureData(root=Path("data/world"), sources={"rec_refcoco": Source(task="rec", dataset="refcoco", ...)}, ...)
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from datamodules.dataset import Encoding, EvaluationSet, LossOn, TrainingSet
from datamodules.leakage import images_tested, keep_clean
from datamodules.loading import Loading, asked, in_unseen_words, limit
from datamodules.order import GlobalBatches, Order
from datamodules.readers import READERS
from datamodules.settings import SampleOrder, Scoring, World
from datamodules.source import LoadedSource, Source, check_source, chosen_tasks, group_by_image
from datamodules.synthetic.world import write_world
from datamodules.timed_loader import TimedLoader
from tasks import Task
from vista.codec.codec import Codec
from vista.data import InputError, MissingFileError
from vista.images import ImageTransform
from vista.tokens.batch import Batch
from vista.tokens.tokenizer import Tokenizer


class MixtureData(LightningDataModule):
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
        num_queries: int = 8,
        template: str = "plain",
        batch_size: int = 64,
        max_tokens: int = 2048,
        loss_on: LossOn = "all",
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
            num_queries: visual tokens L per image, filled in by the command line.
            template: conversation form, `plain` or `vicuna_v1`.
            batch_size: samples in a global batch, over all processes.
            max_tokens: longest sequence; a longer sample is not learned from.
            loss_on: learn `all` tokens of an answer (the paper), or only those that its grammar leaves `free`.
            num_workers: loader processes.
            cache: where annotations are kept once they are compiled (`datamodules/compiled.py`); it may be deleted.
            allow_missing: leave out samples whose image is missing, however many.
            drop_test_images: leave out training samples whose image is tested on by any source of the config.
            order: of training samples.
            scoring: how many questions are scored.
            world: the generated world.
        """
        super().__init__()
        self.tokenizer, self.codec, self.sources, self.root = tokenizer, codec, sources, root
        self.replay = replay
        self.encoding = Encoding(tokenizer, ImageTransform(image_size), num_queries, template)
        self.order, self.scoring, self.world = order, scoring, world
        self.batch_size, self.max_tokens, self.loss_on = batch_size, max_tokens, loss_on
        self.num_workers, self.drop_test_images = num_workers, drop_test_images
        self.loading = Loading(root, codec, cache, allow_missing)
        self.question_images: list[str] = []
        self.question_text = ""
        self.place = 0, 0  # epoch, and batch in it, at which training begins
        self.batches: GlobalBatches | None = None
        self.train_sources: list[LoadedSource] = []
        self.eval_sources: list[LoadedSource] = []
        self.allow_zero_length_dataloader_with_multiple_devices = (
            True  # a split with fewer questions than processes
        )
        if not 0 <= replay < 1:
            raise InputError(
                f"the share of replayed samples is at least 0 and below 1, not {replay}"
            )
        for name, source in sources.items():
            check_source(name, source)
        self.tasks = chosen_tasks(tasks, sources)
        self.replay_tasks = chosen_tasks(replay_tasks, sources) or []

    def prepare_data(self) -> None:
        """Write the generated world where it is wanted and missing, and compile annotations, in one process.

        A person's own question needs no data. What is wrong with a source is said by `setup`, in every process.
        """
        stage = None if self.trainer is None else self.trainer.state.fn
        if stage == "predict":
            return
        if self.root.name == "world":
            write_world(self.root, num_train=self.world.scenes, formats=self.world.formats)
        elif not self.root.is_dir():
            name, source = next(iter(self.sources.items()), ("", None))
            where = (
                f": source {name} needs {source.dataset}, see {READERS[source.dataset].source}"
                if source
                else ""
            )
            raise MissingFileError(
                f"the data root {self.root} is not there; name it by --data.root{where}"
            )
        if stage is not None:
            with suppress(FileNotFoundError, ValueError):
                self._compile(stage)

    def _compile(self, stage: str) -> None:
        """Read all that `setup` opens."""
        if stage == "fit":
            self.loading.load(self._trained_on(), "train")
            if self.drop_test_images:
                images_tested(self.sources, self.loading.annotations)
        self.loading.load(self._scored(), "test" if stage == "test" else "val")

    def setup(self, stage: str) -> None:
        """Open what the stage needs: `fit`, `validate`, `test` or `predict`."""
        if stage == "fit":
            self._setup_training()
        if stage in ("fit", "validate"):
            self.eval_sources = self.loading.load(self._scored(), "val")
            limit(self.eval_sources, self.scoring.max_val)
        if stage == "test":
            self.eval_sources = self.loading.load(self._scored(), "test")
            unseen = in_unseen_words(self.eval_sources) if self.scoring.unseen_prompts else []
            limit(self.eval_sources, self.scoring.max_test)
            limit(unseen, self.scoring.unseen_prompts)
            self.eval_sources += unseen
        if stage == "predict":
            self.eval_sources = [self._questions()]
        if stage != "fit" and not self.eval_sources:
            raise InputError(f"none of the chosen tasks has a source with a split to {stage}")

    def _chosen(self, tasks: list[str] | None) -> dict[str, Source]:
        chosen = {n: s for n, s in self.sources.items() if tasks is None or s.task in tasks}
        for task in tasks or []:
            if not any(s.task == task for s in chosen.values()):
                raise InputError(f"task {task} has no source; add one under data.sources")
        return chosen

    def _scored(self) -> dict[str, Source]:
        return self._chosen(None if self.tasks is None else [*self.tasks, *self.replay_tasks])

    def _trained_on(self) -> dict[str, Source]:
        replayed = self._chosen(self.replay_tasks) if self.replay else {}
        wanted = {n: s for n, s in {**self._chosen(self.tasks), **replayed}.items() if s.train}
        if not wanted:
            raise InputError("none of the chosen tasks has a source with a split to train on")
        return wanted

    def _setup_training(self) -> None:
        """Load the training splits and fix how many samples of each an epoch holds."""
        main, wanted = self._chosen(self.tasks), self._trained_on()
        self.train_sources = self.loading.load(wanted, "train")
        if self.drop_test_images:
            self._drop_test_images()
        counts = np.array([len(s.annotations) * wanted[s.name].weight for s in self.train_sources])
        weights = np.array([wanted[s.name].weight for s in self.train_sources], dtype=float)
        old = np.array([s.name not in main for s in self.train_sources])
        if old.any():
            weights[old] *= self.replay / (1 - self.replay) * counts[~old].sum() / counts[old].sum()
        groups = [
            group_by_image(s.annotations, self.order.questions_per_image)
            for s in self.train_sources
        ]
        self.train_order = Order(
            groups,
            weights.tolist(),
            self.order.seed,
            self.order.epoch_samples,
            self.order.sorted_epochs,
        )

    def _drop_test_images(self) -> None:
        """Leave out, and count, what `python main.py data audit` finds."""
        notes = keep_clean(
            self.train_sources, *images_tested(self.sources, self.loading.annotations)
        )
        if self.trainer is None or self.trainer.is_global_zero:
            print(*notes, sep="\n", end="\n" * bool(notes), flush=True)

    def _questions(self) -> LoadedSource:
        if not self.tasks or len(self.tasks) > 1:
            raise InputError(
                f"a question is of one task, not of {', '.join(self.tasks or ['none'])}"
            )
        self.encoding.exif = True
        return asked(
            Task.known[self.tasks[0]](self.codec), self.question_images, self.question_text
        )

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> dict[str, object]:
        """Tensors move; annotations and names, which Lightning would copy field by field, stay."""
        return {
            k: v.to(device, non_blocking=True) if isinstance(v, torch.Tensor) else v
            for k, v in batch.items()
        }

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the current epoch, from the current batch on."""
        dataset = TrainingSet(
            self.train_sources, self.encoding, self.order.seed, self.max_tokens, self.loss_on
        )
        if (trainer := self.trainer) is None:
            return self._loader(dataset, GlobalBatches(self.train_order, self.batch_size))
        epoch, start = max(self.place, (trainer.current_epoch, 0))
        self.batches = GlobalBatches(
            self.train_order, self.batch_size, trainer.global_rank, trainer.world_size, epoch, start
        )
        return self._loader(dataset, self.batches)

    def state_dict(self) -> dict[str, int]:
        """Where a run goes on that is resumed from the checkpoint that is being saved."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        epochs, batches = loop.epoch_progress.current.ready, loop.epoch_loop.batch_progress
        done: int = batches.current.processed  # type: ignore[attr-defined]
        epoch, batch = (epochs, 0) if batches.is_last_batch else (max(0, epochs - 1), done)
        return {"epoch": epoch, "batch": batch}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on there, with a loader that is there already, too.

        Lightning's own counters come too late: the schedule asks for the loader before them. A sharded run restores
        even this only after its loader was made.
        """
        self.place = state_dict["epoch"], state_dict["batch"]
        if self.batches is not None:
            self.batches.epoch, self.batches.start = self.place

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """One loader for each scored source."""
        return [self._evaluation_loader(source) for source in self.eval_sources]

    test_dataloader = val_dataloader

    def predict_dataloader(self) -> list[DataLoader[Any]]:
        """A person's question as one batch."""
        return [
            DataLoader(EvaluationSet(s, self.encoding), collate_fn=_as_is)
            for s in self.eval_sources
        ]

    def _evaluation_loader(self, source: LoadedSource) -> DataLoader[Any]:
        trainer = self.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        indices = list(range(rank, len(source.annotations), world_size))
        batches = [
            indices[i : i + self.scoring.eval_batch_size]
            for i in range(0, len(indices), self.scoring.eval_batch_size)
        ]
        return self._loader(EvaluationSet(source, self.encoding), batches)

    def _loader(self, dataset: Any, batches: Any) -> DataLoader[Any]:
        return TimedLoader(
            dataset, batch_sampler=batches, num_workers=self.num_workers, collate_fn=_as_is
        )


def _as_is(batch: Any) -> Any:
    """The data sets collate by themselves."""
    return batch
