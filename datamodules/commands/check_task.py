"""`check-task`: does a task keep the contract of `vista/task.py`? In plain words, one line for each law.

    python main.py check-task res
    python main.py check-task my_task --plugin my_task.py --config my_source.yaml --data.root data

The task is checked on annotations of its sources, or, where the configs have none, of the data sets that it names.
Where their files are missing or hold no sample, a small generated world is written to a temporary folder. A task
without either gets annotations made by hand: every field is filled, but `extra` is empty. What cannot be judged, since
data or codec do not reach so far, is a note.
"""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from datamodules.by_image import group_by_image
from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.contract import Finding, check_task
from datamodules.commands.options import CheckTaskOptions
from datamodules.readers import READERS
from datamodules.source import Source, check_source, lacking_fields, nearest
from datamodules.splits import Splits
from datamodules.synthetic.world import write_world
from tasks import Task
from vista.app.runs import CONFIGS
from vista.app.settings import make_part
from vista.data import Annotation, InputError, MissingFileError, neutralise_answer
from vista.decoding.grammar import Grammar, compile_grammar
from vista.printable import say
from vista.tokens.tokenizer import Tokenizer

SMALL_WORLD = {"num_train": 12, "num_val": 5, "num_test": 40}  # scenes


def main(options: CheckTaskOptions) -> None:
    """Check every task that is named, and print what is found.

    Raises:
        InputError: a law is broken, or there is no such task.
    """
    setup = read_setup(options.config, options.data.root, options.plugin)
    for name in options.task:
        if name not in Task.known:
            raise InputError(nearest(name, list(Task.known), "task"))
    broken = {name: count_broken(setup, Task.known[name], options.limit) for name in options.task}
    complaints = [
        f"task {name} breaks the contract of vista/task.py in {number} places"
        for name, number in broken.items()
        if number
    ]
    if complaints:
        raise InputError("; ".join(complaints))


def count_broken(setup: Setup, task: type[Task], limit: int) -> int:
    """Print all findings on a task; the number of those that break a law."""
    broken = 0
    for what, annotations in annotations_of(setup, task, limit):
        say(f"{task.name} on {what}")
        for finding in check(setup, task, annotations):
            say(f"  {finding.mark:4s} {finding.law}: {finding.text}")
            broken += not finding.ok
    return broken


def check(setup: Setup, task: type[Task], annotations: Sequence[Annotation]) -> list[Finding]:
    """All findings on some annotations, legal answers being those that the configs' tokenizer can write."""
    folder = str((setup.settings.get("tokenizer") or {}).get("folder", ""))
    if not Path(folder).exists():  # paths of the default config are relative to the project
        setup.settings["tokenizer"]["folder"] = str(CONFIGS.parent / folder)
    tokenizer = make_part(Tokenizer, setup.settings, "tokenizer")

    def accepts(grammar: Grammar, text: str) -> bool:
        learned = tokenizer.encode(neutralise_answer(text), eos=True)  # as in training
        return compile_grammar(grammar, tokenizer).accepts(learned)

    def length(text: str) -> int:
        return len(tokenizer.encode(text, eos=True))

    return list(check_task(task, setup.codec, annotations, accepts, length))


def annotations_of(
    setup: Setup,
    task: type[Task],
    limit: int,
) -> list[tuple[str, list[Annotation]]]:
    """What a task is checked on, with a few words about it.

    Args:
        setup: sources and data root.
        task: the class.
        limit: most annotations of each source, spread evenly.
    """
    sources = {name: source for name, source in setup.sources.items() if source.task == task.name}
    sources = sources or {name: _all_splits(task.name, name) for name in sorted(task.datasets)}
    if not sources:
        return [
            ("annotations made by hand, since no source of the configs has the task", by_hand(task))
        ]
    for name, source in sources.items():
        check_source(name, source)
    with tempfile.TemporaryDirectory() as folder:
        found = [
            _of_source(setup, name, source, limit, Path(folder)) for name, source in sources.items()
        ]
    if not any(found):
        raise MissingFileError(
            f"no source of task {task.name} has files with samples; name their data root by --data.root"
        )
    return [each for each in found if each]


def _all_splits(task: str, dataset: str) -> Source:
    """A source that may be any split of a data set with the task's fields, those for training last: they are large."""
    source = Source(task, dataset)
    known = READERS[dataset].splits if dataset in READERS else ()
    splits = [split for split in known if not lacking_fields(dataset, source, split)]
    splits.sort(key=lambda name: "train" in name)
    return replace(source, test={split: split for split in splits})


def _of_source(
    setup: Setup,
    name: str,
    source: Source,
    limit: int,
    folder: Path,
) -> tuple[str, list[Annotation]] | None:
    """The first split of a source that has samples, in the data root or in a generated world below `folder`."""
    own = replace(source, root=source.root or setup.root)
    first = _first_split(setup.splits, name, own)
    origin = ""
    if first is None:
        if not (folder / "world.json").exists():
            write_world(folder, formats="all", num_workers=1, **SMALL_WORLD)
        in_world = Splits(folder, setup.codec, folder / "compiled")
        first = _first_split(in_world, name, replace(source, root=folder))
        origin = " of a small generated world"
    if first is None:
        return None
    split, annotations = first
    return f"source {name} ({source.dataset}, {split}){origin}", spread(annotations, limit)


def _first_split(
    reading: Splits, name: str, source: Source
) -> tuple[str, Sequence[Annotation]] | None:
    """The first split of a source that has samples, with its name; else it is said what the first one lacks."""
    lacking: list[str] = []
    for split in (source.val, *source.test.values(), source.train):
        # A split without answers has no right one to be checked.
        if not split or lacking_fields(name, source, split):
            continue
        try:
            annotations = reading.read(name, source, split)
        except FileNotFoundError as error:
            lacking.append(str(error))
            continue
        if annotations:
            return split, annotations
        lacking.append(f"source {name}: {source.dataset} ({split}) has no sample in {source.root}")
    say("\n".join(lacking[:1]))
    return None


def spread(annotations: Sequence[Annotation], limit: int) -> list[Annotation]:
    """About `limit` annotations, whole images spread evenly: a baseline may look at what else is asked about one."""
    by_image = group_by_image(annotations, limit)
    share = max(1, round(len(by_image) * limit / max(1, len(annotations))))
    evenly = np.linspace(0, len(by_image) - 1, min(share, len(by_image)))  # (images,)
    chosen = sorted(set(evenly.astype(int).tolist()))
    numbers = chain.from_iterable(by_image[image] for image in chosen)
    return [annotations[number] for number in numbers]


def by_hand(task: type[Task], count: int = 6) -> list[Annotation]:
    """Annotations with every field filled, and as many images as the task's instructions have marks."""
    texts = getattr(task, "templates", ())
    if not isinstance(texts, list | tuple):  # a law of its own complains of it
        texts = ()
    marks = [len(re.findall("<image>", text)) for text in texts]
    return [_by_hand(number, max([1, *marks])) for number in range(count)]


def _by_hand(number: int, num_images: int) -> Annotation:
    height = 90 + number
    width = 120
    left = 10.0 + 5 * number
    top = 12.0
    box = (left, top, left + 40, top + 30)
    polygon = [left, top, left + 40, top, left + 40, top + 30, left, top + 30]
    color = ("red", "blue", "green")[number % 3]
    return Annotation(
        id=f"by-hand-{number}",
        images=tuple(f"{number}_{k}.jpg" for k in range(num_images)),
        sizes=((height, width),) * num_images,
        expression=f"the {color} box",
        question="What color is the box?",
        answers=(color,) * 10,
        captions=(f"a {color} box number {number} on a table", f"there is a {color} box"),
        boxes=(box,),
        segmentations=([polygon],) * num_images,
        label=color,
    )
