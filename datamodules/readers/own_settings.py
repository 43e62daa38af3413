"""Settings of a data set of your own, and what its task asks of it.

own: {files: {all: labels.jsonl}, shares: {train: 0.8, val: 0.1, test: 0.1}, images: photos}
"""

from dataclasses import dataclass, field

from vista.data import InputError

ALL = "all"


@dataclass(frozen=True)
class OwnData:
    """Settings of a data set of your own; what a data set does not take must be left out. See docs/own_data.md.

    Attributes:
        files: the file or folder of each split below the data root; or of `all` of them, which `shares` divide.
        shares: of the images, for each split; all questions about an image go the same way.
        images: folder of the images, below the data root (of `folder`: below the folder of a split).
        masks: of `folder`: where the masks are, below the folder of a split; empty: beside the images.
        names: of `folder`: a csv with the columns stem, expression and perhaps value.
        mask: of `folder`: `whole`: a mask is one object; `instances`: each of its values is; `auto`: where it shows.
        form: of `jsonl`: ms-swift, llava, qwen, internvl or shikra; empty: as it shows.
        coordinates: of `jsonl`: pixels, norm1, norm1000, norm999 or padded; empty: as the form has it.
        prompt: of `jsonl`: how questions are worded, `{}` in the place of the expression.
        group_size: images of a group, for CoSeg.
    """

    files: dict[str, str] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    images: str = ""
    masks: str = ""
    names: str = ""
    mask: str = "auto"
    form: str = ""
    coordinates: str = ""
    prompt: str = ""
    group_size: int = 4


@dataclass(frozen=True)
class Asked:
    """What is asked.

    Attributes:
        several: whether an expression may hold for several objects.
        groups: whether groups of images that show the same are asked about.
        masks: whether masks are needed.
    """

    several: bool = False
    groups: bool = False
    masks: bool = True


def check(name: str, own: OwnData, takes: frozenset[str], splits: tuple[str, ...]) -> None:
    """Refuse settings that are not understood.

    Raises:
        InputError: one sentence that names the setting.
    """
    plain = OwnData()
    for setting in ("images", "masks", "names", "mask", "form", "coordinates", "prompt"):
        if getattr(own, setting) != getattr(plain, setting) and setting not in takes:
            raise InputError(
                f"data set {name} has no own.{setting}; it has {', '.join(sorted(takes))}"
            )
    for split in (*own.files, *own.shares):
        if split not in (*splits, ALL):
            raise InputError(
                f"own.files and own.shares are of {', '.join(splits)}, not of {split!r}"
            )
    if (
        not all(0 <= share <= 1 for share in own.shares.values())
        or sum(own.shares.values()) > 1.001
    ):
        raise InputError(f"own.shares are {own.shares}; they are parts of 1")
    if (ALL in own.files) != bool(own.shares) or (own.shares and len(own.files) > 1):
        raise InputError(
            "own.files names one file of `all` splits and own.shares divide it, or a file for each split"
        )
    if own.group_size < 2:
        raise InputError(f"own.group_size is {own.group_size}, and a group has two images or more")
