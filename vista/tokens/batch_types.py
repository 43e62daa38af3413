"""What an example and a batch hold: between the loader, which makes them, and the model, metrics and callbacks.

Letters: B samples of T tokens, I different images of S x S pixels, J uses of an image by a sample, Q tokens of an
instruction.
"""

from dataclasses import dataclass
from typing import TypedDict

from torch import Tensor

from vista.data import Annotation, Turns


@dataclass(slots=True)
class Example:
    """What the model is trained on or asked: images and one or several turns of text.

    Attributes:
        images: paths below the data root.
        turns: (prompt, target) pairs; the `<image>` marks stand in the prompts, one per image, in order.
    """

    images: tuple[str, ...]
    turns: Turns


class Batch(TypedDict):
    """What `VistaLLM.forward` reads; made by `vista.tokens.batch.collate`."""

    pixel_values: Tensor  # (I, 3, S, S); uint8 until `MixtureData` moves it, then float
    image_index: Tensor  # int (J,), the image of each use
    sample_index: Tensor  # int (J,), the sample of each use
    input_ids: Tensor  # int (B, T), with `<image>` as often as an image has visual tokens
    attention_mask: Tensor  # int (B, T), 0 at padding
    labels: Tensor  # int (B, T), `IGNORE` where nothing is learned
    instruction_ids: Tensor  # int (B, Q), what the QFormer reads
    instruction_mask: Tensor  # int (B, Q)


class TrainingBatch(Batch):
    """A batch to learn from."""

    source_index: Tensor  # int (B,), counts the training sources
    loss_weights: (
        Tensor  # float (B, T), what a token weighs in the loss; 0 where nothing is learned
    )
    ids: list[str]  # `<source>:<annotation>` of each sample
    keys: list[tuple[int, int, int, int]]  # epoch, position in it, source and annotation of each
    unusable: int  # samples of which nothing is learned
    problems: list[str]  # a sentence for each file that could not be read


class EvaluationBatch(Batch):
    """A batch of questions of one source."""

    source: str  # its name
    annotations: list[Annotation]  # what is asked about
    readable: list[bool]  # whether all images of a question could be read
    problems: list[str]  # a sentence for each file that could not be read
