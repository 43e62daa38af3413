"""From keys to training batches: reads images, lets the task write prompt and target, encodes and pads.

A data set answers `__getitems__`, so that an image that several samples of a batch share is read once.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.order import Key
from datamodules.source import LoadedSource
from vista.data import Annotation, Size, Turns, located, neutralise_answer
from vista.decoding.loss_weights import LossPer, LossWeights, Role, token_roles, weigh_tokens
from vista.images import ImageError, ImageTransform, load_image, same_shape
from vista.shards import is_file
from vista.tokens.batch import IGNORE, Sample, collate, encode_example
from vista.tokens.batch_types import Example, TrainingBatch
from vista.tokens.tokenizer import Tokenizer

REGIONS = frozenset({"boxes", "segmentations", "sizes"})  # what a task with regions needs
PROBED = 100  # samples that tell what a source's answers usually decide


class Encoding:
    """How an example becomes tensors, in training and in evaluation."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        transform: ImageTransform,
        num_queries: int,
        template: str = "plain",
        exif: bool = False,
    ) -> None:
        """Keep the parts.

        Args:
            tokenizer: of the LLM.
            transform: image to tensor.
            num_queries: visual tokens L per image.
            template: conversation form, see `vista.tokens.batch.encode_example`.
            exif: turn images upright (a person's uploads, not data sets).
        """
        self.tokenizer, self.transform, self.num_queries = tokenizer, transform, num_queries
        self.template, self.exif = template, exif
        self.unreadable: dict[str, str] = {}  # file -> why, in one sentence
        self.shapes: dict[str, Size] = {}  # (H, W) of each image that was read last

    def sample(
        self, source: LoadedSource, annotation: Annotation, turns: Turns, answer: bool = True
    ) -> Sample:
        """An annotation in token ids; the keys of its images are their files.

        Raises:
            ValueError: the prompts have not one `<image>` for each image.
        """
        files = tuple(str(source.root / image) for image in annotation.images)
        # Answers are texts of a data set, too. Here all of them pass, whatever task has written them.
        safe = tuple((prompt, neutralise_answer(answer)) for prompt, answer in turns)
        sample = encode_example(Example(files, safe), self.tokenizer, self.template, answer)
        return replace(sample, sizes=annotation.sizes) if REGIONS & source.task.fields else sample

    def images(self, samples: Sequence[Sample], seed: int = 0) -> dict[str, Tensor]:
        """Images uint8 (3, S, S) of a batch by file, each read once; an unreadable file becomes black."""
        self.shapes = {}
        return {file: self._image(file, seed) for file in files_of(samples)}

    def _image(self, file: str, seed: int) -> Tensor:
        if file not in self.unreadable:
            try:
                image = load_image(Path(file), exif=self.exif)
                self.shapes[file] = (image.shape[0], image.shape[1])
                return self.transform(image, seed)
            except ImageError as error:
                self.unreadable[file] = str(error)
        return torch.zeros(3, *2 * (self.transform.image_size,), dtype=torch.uint8)

    def readable(self, sample: Sample) -> bool:
        """Whether all images of a sample of the batch could be read, and are what its regions were drawn on."""
        return self.unreadable.keys().isdisjoint(sample.images) and not self._misshapen(sample)

    def problems(self, samples: Sequence[Sample]) -> list[str]:
        """A sentence for each file of a batch that could not be read, or is of another shape than its annotation's."""
        unreadable = [file for file in files_of(samples) if file in self.unreadable]
        # Missing files were named when the run began.
        named = [self.unreadable[file] for file in unreadable if is_file(Path(file))]
        return [*named, *dict.fromkeys(chain.from_iterable(map(self._misshapen, samples)))]

    def _misshapen(self, sample: Sample) -> list[str]:
        """A sentence for each image on which the regions of a sample lie elsewhere."""
        stated = zip(sample.images, sample.sizes, strict=False)
        pairs = ((file, size, self.shapes.get(file, size)) for file, size in stated)
        return [
            f"The image {file} has {shape[1]} x {shape[0]} pixels, its annotation says {size[1]} x {size[0]}: "
            "another shape, so its regions lie elsewhere."
            for file, size, shape in pairs
            if not same_shape(size, shape)
        ]


def files_of(samples: Sequence[Sample]) -> list[str]:
    """The image files of a batch, each once, in order of first use."""
    return list(dict.fromkeys(chain.from_iterable(sample.images for sample in samples)))


class TrainingSet(Dataset[TrainingBatch]):
    """Batches for `VistaLLM.forward`."""

    def __init__(
        self,
        sources: Sequence[LoadedSource],
        encoding: Encoding,
        seed: int = 0,
        max_tokens: int = 2048,
        loss_per: LossPer = "token",
    ) -> None:
        """Keep the sources.

        Args:
            sources: what the keys count.
            encoding: how examples become tensors.
            seed: of the choice of templates.
            max_tokens: a longer sample is not learned from, and counted.
            loss_per: whether each `token` of an answer weighs alike in the loss, or each `decision`.
        """
        self.sources, self.encoding, self.seed = sources, encoding, seed
        self.max_tokens, self.loss_per = max_tokens, loss_per
        self.loss_weights = [self._usual_weights(source) for source in range(len(sources))]

    def _usual_weights(self, source: int) -> LossWeights:
        """By the decisions of some of a source's samples that are spread evenly; they also show what cannot be read."""
        count = len(self.sources[source].annotations)
        probed = range(0, count, max(1, count // PROBED))
        answers = [self._sample((0, 0, source, index))[2] for index in probed]
        return LossWeights() if self.loss_per == "token" else LossWeights.by_decision(answers)

    def _sample(self, key: Key) -> tuple[str, Sample, list[Role]]:
        """Name of a sample, the sample, and the roles of its learned tokens where the loss asks for them.

        Raises:
            SampleError, InputError: they say of which task, source, annotation and file it is.
        """
        epoch, position, source, index = key
        loaded = self.sources[source]
        annotation = loaded.annotations[index]
        rng = np.random.default_rng((self.seed, epoch, position))
        try:
            sample = self.encoding.sample(loaded, annotation, loaded.task.turns(annotation, rng))
            roles = []
            if self.loss_per == "decision":
                grammar = loaded.task.grammar(annotation)
                roles = token_roles(sample, grammar, self.encoding.tokenizer)
        except Exception as error:
            raise located(error, loaded.where(annotation)) from error
        return f"{loaded.name}:{annotation.id}", sample, roles

    def __getitems__(self, keys: list[Key]) -> TrainingBatch:
        """The batch of these keys, with the source of each sample and what could not be used."""
        ids, samples, roles = zip(*map(self._sample, keys), strict=True)
        images = self.encoding.images(samples, seed=hash(keys[0]) & 0x7FFFFFFF)
        # A sample that cannot be learned from keeps its position, so that no other one moves.
        usable = [self._usable(sample) for sample in samples]
        kept = [s if ok else self._unlearned(s) for s, ok in zip(samples, usable, strict=True)]
        sources = [source for _, _, source, _ in keys]
        batch = collate(kept, images, self.encoding.tokenizer, self.encoding.num_queries)
        weights = (batch["labels"] != IGNORE).float()
        if self.loss_per == "decision":
            weigh_tokens(weights, roles, [self.loss_weights[source] for source in sources])
        return {
            **batch,
            "source_index": torch.tensor(sources),
            "loss_weights": weights,
            "ids": list(ids),
            "keys": keys,
            "unusable": len(keys) - sum(usable),
            "problems": self.encoding.problems(samples),
        }

    def _usable(self, sample: Sample) -> bool:
        """Whether its images could be read and it is short enough, each image being L tokens long."""
        length = len(sample.input_ids) + (self.encoding.num_queries - 1) * len(sample.images)
        return self.encoding.readable(sample) and length <= self.max_tokens

    def _unlearned(self, sample: Sample) -> Sample:
        """What keeps the position of a sample that cannot be learned from: its images and no text."""
        marks = [token for token in sample.input_ids if token == self.encoding.tokenizer.image_id]
        return replace(sample, input_ids=marks, labels=[IGNORE] * len(marks))
