"""From keys to batches: reads images, lets the task write prompt and target, encodes and pads.

Both data sets answer `__getitems__`, so that an image several samples of a batch share is read once.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.order import Key
from tasks import Task
from vista.data import Annotation, Example
from vista.images import ImageError, ImageTransform, load_image
from vista.packing import IGNORE, Sample, collate, encode_example
from vista.tokenizer import Tokenizer

Batch = dict[str, Any]


@dataclass
class LoadedSource:
    """A source in memory: its name, task, data root and annotations."""

    name: str
    task: Task
    root: Path
    annotations: list[Annotation]


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
            template: conversation form, see `vista.packing.encode_example`.
            exif: turn images upright (a person's uploads, not data sets).
        """
        self.exif = exif
        self.tokenizer, self.transform, self.num_queries, self.template = tokenizer, transform, num_queries, template
        self.unreadable: set[str] = set()

    def images(self, sources: Sequence[LoadedSource], samples: Sequence[Sample], seed: int = 0) -> dict[str, Tensor]:
        """Tensors of all images of a batch, each read once; a file that cannot be read becomes grey."""
        tensors: dict[str, Tensor] = {}
        for source, sample in zip(sources, samples, strict=True):
            for path in sample.images:
                if path not in tensors:
                    tensors[path] = self._image(source.root / path, path, seed)
        return tensors

    def _image(self, file: Path, path: str, seed: int) -> Tensor:
        try:
            return self.transform(load_image(file, exif=self.exif), seed)
        except ImageError as error:
            if path not in self.unreadable:
                warnings.warn(str(error), stacklevel=2)
            self.unreadable.add(path)
            size = self.transform.image_size
            return torch.zeros(3, size, size)

    def readable(self, sample: Sample) -> bool:
        """Whether all images of a sample could be read."""
        return not self.unreadable.intersection(sample.images)


class TrainingSet(Dataset[Batch]):
    """Batches for `VistaLLM.forward`."""

    def __init__(
        self, sources: Sequence[LoadedSource], encoding: Encoding, seed: int = 0, max_tokens: int = 2048
    ) -> None:
        """Keep the sources.

        Args:
            sources: what the keys count.
            encoding: how examples become tensors.
            seed: of the choice of templates.
            max_tokens: a longer sample is not learned from, and counted.
        """
        self.sources, self.encoding, self.seed, self.max_tokens = sources, encoding, seed, max_tokens

    def __getitems__(self, keys: list[Key]) -> Batch:
        """The batch of these keys, with the source of each sample and the ids."""
        samples, sources = [], []
        for epoch, position, source, index in keys:
            loaded = self.sources[source]
            rng = np.random.default_rng((self.seed, epoch, position))
            annotation = loaded.annotations[index]
            example = Example(annotation.images, loaded.task.turns(annotation, rng))
            samples.append(encode_example(example, self.encoding.tokenizer, self.encoding.template))
            sources.append(loaded)
        images = self.encoding.images(sources, samples, seed=hash(keys[0]) & 0x7FFFFFFF)
        lengths = [len(s.input_ids) + (self.encoding.num_queries - 1) * len(s.images) for s in samples]
        usable = [self.encoding.readable(s) and n <= self.max_tokens for s, n in zip(samples, lengths, strict=True)]
        samples = [s if ok else self._unlearned(s) for s, ok in zip(samples, usable, strict=True)]
        batch = collate(samples, images, self.encoding.tokenizer, self.encoding.num_queries)
        return batch | {"source": torch.tensor([key[2] for key in keys]), "unusable": len(keys) - sum(usable)}

    def _unlearned(self, sample: Sample) -> Sample:
        """What keeps the position of a sample that cannot be learned from: its images and no text."""
        marks = [token for token in sample.input_ids if token == self.encoding.tokenizer.image_id]
        return replace(sample, input_ids=marks, labels=[IGNORE] * len(marks))


class EvaluationSet(Dataset[Batch]):
    """Prompts for `vista.generate.generate`, in the order of the files."""

    def __init__(self, source: LoadedSource, encoding: Encoding, template: int | None = None) -> None:
        """Keep the source.

        Args:
            source: what is asked.
            encoding: how examples become tensors.
            template: index of the instruction; None: the task's first.
        """
        self.source, self.encoding, self.template = source, encoding, template

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.source.annotations)

    def example(self, annotation: Annotation) -> Example:
        """The question as an example, the target with it."""
        turns = self.source.task.turns(annotation)
        if self.template is not None:
            text = self.source.task.fill(self.source.task.templates[self.template], annotation)
            turns = ((text, turns[0][1]), *turns[1:])
        return Example(annotation.images, turns)

    def __getitems__(self, indices: list[int]) -> Batch:
        """The batch of these questions, padded on the left, with annotations and readability."""
        annotations = [self.source.annotations[i] for i in indices]
        arguments = self.encoding.tokenizer, self.encoding.template
        samples = [encode_example(self.example(a), *arguments, answer=False) for a in annotations]
        images = self.encoding.images([self.source] * len(samples), samples)
        batch = collate(samples, images, self.encoding.tokenizer, self.encoding.num_queries, pad_left=True)
        readable = [self.encoding.readable(s) for s in samples]
        return batch | {"source": self.source.name, "annotations": annotations, "readable": readable}
