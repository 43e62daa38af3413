"""Questions: what evaluation asks of a source, of a person, and in prompts that are never trained on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch.utils.data import Dataset

from datamodules.by_image import whole_images
from datamodules.dataset import Encoding
from datamodules.source import LoadedSource
from tasks import Task
from vista.data import Annotation, located
from vista.images import load_image
from vista.tokens.batch import Sample, collate
from vista.tokens.batch_types import EvaluationBatch


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
        samples = [self._sample(annotation) for annotation in annotations]
        images = self.encoding.images(samples)
        batch = collate(
            samples, images, self.encoding.tokenizer, self.encoding.num_queries, pad_left=True
        )
        return {
            **batch,
            "source": self.source.name,
            "annotations": annotations,
            "readable": [self.encoding.readable(sample) for sample in samples],
            "problems": self.encoding.problems(samples),
        }

    def _sample(self, annotation: Annotation) -> Sample:
        """The prompt in token ids.

        Raises:
            SampleError, InputError: they say of which task, source, annotation and file it is.
        """
        try:
            turns = self.source.question(annotation)
            return self.encoding.sample(self.source, annotation, turns, answer=False)
        except Exception as error:
            raise located(error, self.source.where(annotation)) from error


def of_a_person(task: Task, images: Sequence[str], text: str) -> LoadedSource:
    """A person's question as a source of one annotation; `images` are paths, turned upright as their EXIF data say."""
    pictures = [load_image(Path(path), exif=True) for path in images]
    annotation = Annotation(
        id="0",
        images=tuple(str(Path(path)) for path in images),
        sizes=tuple((picture.shape[0], picture.shape[1]) for picture in pictures),
        expression=text,
        question=text,
    )
    return LoadedSource("predict", task, Path(), [annotation])


def with_unseen_prompts(sources: Sequence[LoadedSource]) -> list[LoadedSource]:
    """The scored sources once more, in all prompts in turn that are never trained on, where their tasks have such."""
    found = []
    for source in sources:
        task = source.task.in_unseen_words()
        if task is not None and source.scored:
            # Each annotation is asked in one of them, so that all are used: see `LoadedSource.question`.
            name, wordings = f"{source.name}_unseen_wording", len(task.templates)
            found.append(replace(source, name=name, task=task, wordings=wordings))
    return found


def limit(sources: list[LoadedSource], most: int | None) -> None:
    """Keep about `most` annotations of each source; None: all of them."""
    for source in sources:
        source.annotations = whole_images(source.annotations, most)
