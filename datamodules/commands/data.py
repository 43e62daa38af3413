"""The verb `data`: what lies on the disk, against what should, and against what is trained on.

python main.py data audit --config coinit        which training samples show a test image, by source and score
python main.py data verify --config coinit       how many samples each split has, and how many it should have
"""

import argparse

from datamodules.commands.configured import Setup, add_arguments, read_setup
from datamodules.commands.expected import EXPECTED
from datamodules.leakage import clean, images_tested, names_of


def main(arguments: list[str]) -> None:
    """The command line of the verb."""
    parser = argparse.ArgumentParser("main.py data", description="Look at the data of a config.")
    parser.add_argument(
        "check",
        choices=("audit", "verify"),
        help="overlaps with test images, or numbers of samples",
    )
    add_arguments(parser)
    given = parser.parse_args(arguments)
    setup = read_setup(given.config, given.root, given.plugin)
    (audit if given.check == "audit" else verify)(setup)


def audit(setup: Setup) -> None:
    """Print, for each source, how many training samples show an image that is tested on."""
    tested, absent = images_tested(setup.sources, setup.splits.read)
    for name, source in setup.sources.items():
        if not source.train:
            continue
        try:
            annotations = setup.splits.read(name, source, source.train)
        except FileNotFoundError as error:
            absent.append(f"{name}: {error}")
            continue
        kept, dropped = clean(annotations, tested)
        images = {
            path: names
            for annotation in annotations
            for path, names in names_of(annotation).items()
        }
        shared = sum(not tested.keys().isdisjoint(names) for names in images.values())
        print(f"{name} ({source.train}): {len(annotations) - len(kept):,} of {len(annotations):,} samples and "
              f"{shared:,} of {len(images):,} images are tested on")  # fmt: skip
        for score, number in sorted(dropped.items()):
            print(f"    {score}: {number:,} samples")
    _say_absent(absent)


def verify(setup: Setup) -> None:
    """Print the number of samples of each split, beside the number that the data set's authors state."""
    absent, wrong, seen = [], 0, set()
    for name, source in setup.sources.items():
        for split in dict.fromkeys([source.train, source.val, *source.test.values()]):
            if not split or (source.dataset, split) in seen:
                continue
            seen.add((source.dataset, split))
            try:
                annotations = setup.splits.read(name, source, split)
            except FileNotFoundError as error:
                absent.append(f"{source.dataset} ({split}): {error}")
                continue
            what, number = EXPECTED.get((source.dataset, split), ("samples", 0))
            images = {image for annotation in annotations for image in annotation.images}
            found = len(images) if what == "images" else len(annotations)
            verdict = (
                ""
                if not number
                else ", as stated"
                if found == number
                else f", {number:,} are stated"
            )
            wrong += bool(number) and found != number
            print(f"{source.dataset} ({split}): {found:,} {what}{verdict}")
    print(f"{wrong} splits have another number than stated")
    _say_absent(absent)


def _say_absent(absent: list[str]) -> None:
    for sentence in absent:
        print(f"not looked at: {sentence}")
