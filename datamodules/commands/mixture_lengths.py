"""How long the samples of a run are, and how many share an image: measured on its files, else as stated.

found = mixture_lengths(setup, run, tokenizer, queries=32)
found.sources[0].text.mean()        # tokens of a sample in the language model, visual ones included
found.absent                        # ["bqa_localqa"]: no files and nothing stated, so not in the plan
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from datamodules.choice import Choice
from datamodules.commands.bare import Run
from datamodules.commands.configured import Setup
from datamodules.commands.stated import STATED
from datamodules.dataset import Encoding
from datamodules.groups import Groups, shared_images
from datamodules.leakage import images_tested, keep_clean
from datamodules.order import Order
from datamodules.source import LoadedSource, Source
from tasks import Task
from vista.data import MissingFileError
from vista.images import ImageTransform
from vista.tokens.tokenizer import Tokenizer

PROBED = 200  # samples of a source that are encoded
# Pieces that a conversation form adds to a prompt of one turn, the begin token among them.
FORM = {"plain": 1, "vicuna_v1": 43}


@dataclass(frozen=True)
class Lengths:
    """Of the samples of one source.

    Attributes:
        name: of the source.
        samples: in the split.
        images: encoder passes of a sample; samples that share an image share its pass.
        uses: images of a sample.
        instruction: tokens that the QFormer reads, int (N,) of some samples.
        text: tokens of the language model, visual ones included, int (N,).
        learned: tokens of an answer, int (N,).
        measured: whether its files were read.
    """

    name: str
    samples: int
    images: float
    uses: int
    instruction: np.ndarray
    text: np.ndarray
    learned: np.ndarray
    measured: bool


@dataclass(frozen=True)
class MixtureLengths:
    """Of a run.

    Attributes:
        sources: those that are known.
        counts: samples of each in an epoch.
        absent: names of sources of which nothing is known.
    """

    sources: list[Lengths]
    counts: list[int]
    absent: list[str]

    @property
    def epoch(self) -> int:
        """Samples of an epoch."""
        return sum(self.counts)


def choice_of(setup: Setup, run: Run) -> Choice:
    """The sources that a run trains on."""
    data = run.data
    return Choice(setup.sources, data["tasks"], data["replay_tasks"], data["replay"])


def train_mixture(
    setup: Setup, run: Run, choice: Choice
) -> tuple[list[LoadedSource], list[Groups]]:
    """What `fit` trains on, but for images that are missing: samples whose image is tested on are left out.

    Raises:
        MissingFileError, InputError, SampleError: a split cannot be read.
    """
    loaded = setup.splits.load(choice.trained_on(), "train")
    if run.data["drop_test_images"]:
        keep_clean(loaded, *images_tested(setup.sources, setup.splits.read))
    most = run.data["order"].questions_per_image
    return loaded, [shared_images(source.annotations, most) for source in loaded]


def mixture_lengths(
    setup: Setup, run: Run, tokenizer: Tokenizer | None, queries: int
) -> MixtureLengths:
    """All training sources of a run.

    Args:
        setup: sources and splits.
        run: settings of the order, the template and the choice of tasks.
        tokenizer: None where its files are not there: then nothing can be measured.
        queries: visual tokens of an image.
    """
    choice = choice_of(setup, run)
    found: list[Lengths] = []
    absent: list[str] = []
    try:
        if tokenizer is None:
            raise MissingFileError("no tokenizer")
        loaded, groups = train_mixture(setup, run, choice)
        encoding = Encoding(tokenizer, ImageTransform(), queries, run.data["template"])
        found = [measured(each, own, encoding) for each, own in zip(loaded, groups, strict=True)]
    except MissingFileError:
        for name in choice.trained_on():
            known = STATED.get(name)
            if known is None:
                absent.append(name)
            else:
                found.append(stated(name, setup, run, queries))
    return MixtureLengths(found, epoch_counts(setup, run, choice, found), absent)


def measured(source: LoadedSource, groups: Groups, encoding: Encoding) -> Lengths:
    """Some samples that are spread evenly, encoded; images are not read."""
    annotations = source.annotations
    rng = np.random.default_rng(0)
    rows = []
    for index in range(0, len(annotations), max(1, len(annotations) // PROBED)):
        annotation = annotations[index]
        sample = encoding.sample(source, annotation, source.task.turns(annotation, rng))
        visual = (encoding.num_queries - 1) * len(sample.images)
        answer = sum(label >= 0 for label in sample.labels)
        lengths = (len(sample.instruction_ids), len(sample.input_ids) + visual, answer)
        rows.append((*lengths, len(sample.images)))
    instruction, text, learned, uses = np.array(rows, dtype=int).reshape(-1, 4).T
    passes = sum(own.shape[0] for own in groups.by_size.values()) / max(1, len(groups))
    images = round(uses.mean()) if len(uses) else 0
    return Lengths(
        source.name, len(annotations), images * passes, images, instruction, text, learned, True
    )


def stated(name: str, setup: Setup, run: Run, queries: int) -> Lengths:
    """What is known of a source of the paper's mixture; all deciles of its parts are combined."""
    known = STATED[name]
    compact = (setup.settings.get("tokenizer") or {}).get("bracket_layout") == "compact"
    numbers = 4 if known["region"] == "box" else 2 * setup.codec.num_points
    region = numbers + 2 if compact else 3 * numbers
    parts = np.array(list(product(known["prompt"], known["answer"], known["regions"])))  # (N, 3)
    instruction = parts[:, 0]
    learned = parts[:, 1] + region * parts[:, 2] + 1
    text = instruction + learned + FORM[run.data["template"]] + queries * known["images"]
    together = min(run.data["order"].questions_per_image, round(known["samples_of_an_image"]))
    images = known["images"] / max(1, together)
    return Lengths(
        name, known["samples"], images, known["images"], instruction, text, learned, False
    )


def epoch_counts(setup: Setup, run: Run, choice: Choice, found: Sequence[Lengths]) -> list[int]:
    """Samples of each source in an epoch, by weights and replay."""
    loaded = [_counted(setup.sources[each.name], setup, each) for each in found]
    sizes = [range(each.samples) for each in found]
    order = Order(
        sizes,  # type: ignore[arg-type]  # only how many there are decides
        choice.weights(loaded),
        epoch_samples=run.data["order"].epoch_samples,
    )
    return order.counts


def _counted(source: Source, setup: Setup, lengths: Lengths) -> LoadedSource:
    """A source of which only the number of samples is known."""
    task = Task.known[source.task](setup.codec)
    return LoadedSource(lengths.name, task, setup.root, range(lengths.samples))  # type: ignore[arg-type]
