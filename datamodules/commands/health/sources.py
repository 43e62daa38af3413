"""The files of each source: whether they are there and whole, how many samples they hold, and their images."""

from collections.abc import Iterator
from pathlib import Path

from datamodules.commands.configured import Setup
from datamodules.commands.data import as_stated
from datamodules.commands.health.finding import Finding, fault
from datamodules.compiled import Annotations
from datamodules.listing import Listing
from datamodules.missing import absent_images
from datamodules.readers.reader import REPEATED
from datamodules.source import Source, check_source
from datamodules.synthetic.files import SETTINGS as WORLD_FILE
from vista.data import InputError, MissingFileError, SampleError


def look_at_sources(setup: Setup, allow_missing: bool) -> Iterator[Finding]:
    """A line for each split of each source; a split that several sources have is looked at once."""
    listing, seen = Listing(), set()
    if setup.root.name == "world" and not setup.root.exists():
        yield Finding("data", f"the generated world will be written to {setup.root}")
        return
    for name, source in setup.sources.items():
        root = source.root or setup.root
        for split in dict.fromkeys([source.train, source.val, *source.test.values()]):
            if split and (source.dataset, root, split) not in seen:
                seen.add((source.dataset, root, split))
                yield _look_at_split(setup, name, source, split, listing, allow_missing)


def _look_at_split(
    setup: Setup, name: str, source: Source, split: str, listing: Listing, allow_missing: bool
) -> Finding:
    check = f"data {source.dataset} ({split})"
    root = source.root or setup.root
    try:
        check_source(name, source)
        annotations = setup.splits.read(name, source, split)
    except (MissingFileError, InputError, SampleError, OSError) as error:
        return fault(check, " ".join(str(error).split()))
    complaints = list(_complaints(annotations, source, split, root, listing, allow_missing))
    if complaints:
        return fault(check, "; ".join(complaints))
    return Finding(check, f"{len(annotations):,} samples")


def _complaints(
    annotations: Annotations,
    source: Source,
    split: str,
    root: Path,
    listing: Listing,
    allow_missing: bool,
) -> Iterator[str]:
    lost = [problem for problem in annotations.problems if problem[1] != REPEATED]
    if not len(annotations):
        yield f"it holds no sample; fetch its files again below {root}"
    elif lost:
        key, why = lost[0]
        yield f"{len(lost)} records cannot be used, the first is {key}: {why}"
    what, found, number = as_stated(source.dataset, split, annotations)
    # What the writer of the generated world leaves beside its files: it is as large as was asked for.
    if number and found != number and not (root / WORLD_FILE).is_file():
        yield f"{found:,} {what}, {number:,} are stated; fetch its files again, another release has other numbers"
    rows, images = absent_images(annotations, root, listing)
    if len(rows) and not allow_missing:
        yield (
            f"images of {len(rows):,} samples are missing, the first is {images[0]}; fetch them, or set "
            "data.allow_missing true to go on without them"
        )
