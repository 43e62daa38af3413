"""From keys to batches: reads images, lets the task write prompt and target, encodes and pads.

Both data sets answer `__getitems__`, so that an image several samples of a batch share is read once.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.order import Key
from datamodules.source import LoadedSource
from vista.data import Annotation, Example
from vista.decoding.free_tokens import learn_free_tokens
from vista.decoding.grammar import compile_grammar
from vista.images import ImageError, ImageTransform, load_image
from vista.tokens.batch import (
    IGNORE,
    EvaluationBatch,
    Sample,
    TrainingBatch,
    collate,
    encode_example,
)
from vista.tokens.tokenizer import Tokenizer

LossOn = Literal["all", "free"]
Turns = tuple[tuple[str, str], ...]
PROBED = 100  # samples that tell how long a source's answers are


class Encoding:
    """How an example becomes tensors; shared by training and evaluation."""

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
        self.exif = exif
        self.tokenizer, self.transform, self.num_queries, self.template = (
            tokenizer,
            transform,
            num_queries,
            template,
        )
        self.unreadable: dict[str, str] = {}  # file -> why, in one sentence

    def sample(
        self, source: LoadedSource, annotation: Annotation, turns: Turns, answer: bool = True
    ) -> Sample:
        """An annotation in token ids; the keys of its images are their files."""
        files = tuple(str(source.root / image) for image in annotation.images)
        return encode_example(Example(files, turns), self.tokenizer, self.template, answer)

    def images(self, samples: Sequence[Sample], seed: int = 0) -> dict[str, Tensor]:
        """Tensors of all images of a batch by file, each read once; a file that cannot be read becomes grey."""
        files = dict.fromkeys(file for sample in samples for file in sample.images)
        return {file: self._image(file, seed) for file in files}

    def _image(self, file: str, seed: int) -> Tensor:
        if file not in self.unreadable:
            try:
                return self.transform(load_image(Path(file), exif=self.exif), seed)
            except ImageError as error:
                self.unreadable[file] = str(error)
        return torch.zeros(3, self.transform.image_size, self.transform.image_size)

    def readable(self, sample: Sample) -> bool:
        """Whether all images of a sample could be read."""
        return self.unreadable.keys().isdisjoint(sample.images)

    def problems(self, samples: Sequence[Sample]) -> list[str]:
        """A sentence for each file of a batch that could not be read. Missing files were named when the run began."""
        files = dict.fromkeys(file for sample in samples for file in sample.images)
        return [
            self.unreadable[file]
            for file in files
            if file in self.unreadable and Path(file).exists()
        ]


class TrainingSet(Dataset[TrainingBatch]):
    """Batches for `VistaLLM.forward`."""

    def __init__(
        self,
        sources: Sequence[LoadedSource],
        encoding: Encoding,
        seed: int = 0,
        max_tokens: int = 2048,
        loss_on: LossOn = "all",
    ) -> None:
        """Keep the sources.

        Args:
            sources: what the keys count.
            encoding: how examples become tensors.
            seed: of the choice of templates.
            max_tokens: a longer sample is not learned from, and counted.
            loss_on: `all` tokens of an answer, or only the `free` ones, see `learn_free_tokens`.
        """
        self.sources, self.encoding, self.seed, self.max_tokens = (
            sources,
            encoding,
            seed,
            max_tokens,
        )
        self.loss_on = loss_on
        self.usual_lengths = torch.tensor(
            [self._usual_length(source) for source in range(len(sources))]
        )

    def _usual_length(self, source: int) -> float:
        """Mean number of learned tokens of a source's samples, over some of them that are spread evenly."""
        count = len(self.sources[source].annotations)
        some = range(0, count, max(1, count // PROBED))
        return max(
            1.0,
            float(np.mean([self._sample((0, 0, source, i))[1].answer_length for i in some] or [1])),
        )

    def _sample(self, key: Key) -> tuple[str, Sample]:
        """Name of a sample, and the sample."""
        epoch, position, source, index = key
        loaded = self.sources[source]
        annotation = loaded.annotations[index]
        turns = loaded.task.turns(annotation, np.random.default_rng((self.seed, epoch, position)))
        sample = self.encoding.sample(loaded, annotation, turns)
        if self.loss_on == "free":
            grammar = compile_grammar(loaded.task.grammar(annotation), self.encoding.tokenizer)
            sample = learn_free_tokens(sample, grammar)
        return f"{loaded.name}:{annotation.id}", sample

    def __getitems__(self, keys: list[Key]) -> TrainingBatch:
        """The batch of these keys, with the source of each sample and what could not be used."""
        ids, samples = zip(*map(self._sample, keys), strict=True)
        images = self.encoding.images(samples, seed=hash(keys[0]) & 0x7FFFFFFF)
        lengths = [
            len(s.input_ids) + (self.encoding.num_queries - 1) * len(s.images) for s in samples
        ]
        usable = [
            self.encoding.readable(s) and n <= self.max_tokens
            for s, n in zip(samples, lengths, strict=True)
        ]
        kept = [s if ok else self._unlearned(s) for s, ok in zip(samples, usable, strict=True)]
        return {
            **collate(kept, images, self.encoding.tokenizer, self.encoding.num_queries),
            "source_index": torch.tensor([key[2] for key in keys]),
            "usual_length": self.usual_lengths[[key[2] for key in keys]],
            "ids": list(ids),
            "unusable": len(keys) - sum(usable),
            "problems": self.encoding.problems(samples),
        }

    def _unlearned(self, sample: Sample) -> Sample:
        """What keeps the position of a sample that cannot be learned from: its images and no text."""
        marks = [token for token in sample.input_ids if token == self.encoding.tokenizer.image_id]
        return replace(sample, input_ids=marks, labels=[IGNORE] * len(marks))


class EvaluationSet(Dataset[EvaluationBatch]):
    """Prompts for `vista.decoding.greedy.generate`, in the order of the files."""

    def __init__(self, source: LoadedSource, encoding: Encoding) -> None:
        """Keep the source.

        Args:
            source: what is asked.
            encoding: how examples become tensors.
        """
        self.source, self.encoding = source, encoding

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.source.annotations)

    def __getitems__(self, indices: list[int]) -> EvaluationBatch:
        """The batch of these questions, padded on the left, with annotations and readability."""
        annotations = [self.source.annotations[i] for i in indices]
        questions = [self.source.question(a) for a in annotations]
        asked = zip(annotations, questions, strict=True)
        samples = [self.encoding.sample(self.source, a, turns, answer=False) for a, turns in asked]
        images = self.encoding.images(samples)
        batch = collate(
            samples, images, self.encoding.tokenizer, self.encoding.num_queries, pad_left=True
        )
        return {
            **batch,
            "source": self.source.name,
            "annotations": annotations,
            "readable": [self.encoding.readable(s) for s in samples],
            "problems": self.encoding.problems(samples),
        }
