"""How well point sequences hold masks: `python main.py codec-bench --masks instances.json --points 8 16 32`.

Every mask is encoded, decoded and compared with the whole original mask, all parts, holes cut out. Tokens per mask are
those of the paper's text, 6N a sequence, and of the compact layout, 2N + 2; a `<msep>` stands between sequences.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice, product
from pathlib import Path
from time import perf_counter
from typing import Literal

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vista.codec.bench.boundary import boundary_f
from vista.codec.bench.mask_files import read_masks
from vista.codec.bench.plot import plot_curves
from vista.codec.contour import Method, Multipart, encode
from vista.codec.polygon_fill import decode
from vista.codec.rings import find_rings
from vista.data import InputError, Mask
from vista.printable import say


@dataclass(slots=True)
class Row:
    """One line of the table: a method, a policy for several parts, a number of points.

    IoU and boundary F are means over masks in percent unless the name says otherwise; times are medians.
    """

    method: str
    multipart: str
    points: int
    masks: int
    iou: float
    iou_median: float
    iou_p5: float
    iou_single: float
    iou_multi: float
    boundary_f: float
    encode_us: float
    decode_us: float
    tokens_paper: float
    tokens_compact: float


@dataclass(slots=True)
class Measurements:
    """What is noted for each mask under one setting."""

    iou: list[float] = field(default_factory=list)
    boundary_f: list[float] = field(default_factory=list)
    encode_us: list[float] = field(default_factory=list)
    decode_us: list[float] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)


def codec_bench(
    masks: list[str],
    points: list[int] = [8, 16, 32],  # noqa: B006 -- the command line shows the defaults
    methods: list[Method] = ["uniform", "adaptive", "adaptive+refine", "fast", "optimal"],  # noqa: B006
    multipart: list[Multipart] = ["largest"],  # noqa: B006
    num_bins: int = 1000,
    min_box: float = 0.05,
    limit: int | None = None,
    out: Path = Path("runs/codec-bench"),
) -> None:
    """Measure methods of the mask codec; prints a table, writes codec_bench.csv and, with matplotlib, codec_bench.png.

    Args:
        masks: COCO json files (annotations or results), PNG masks, or folders of PNG masks.
        points: numbers of points per sequence, N.
        methods: uniform, literal, adaptive, uniform+refine, adaptive+refine, fast, optimal.
        multipart: what is done with several parts: largest, separate, bridge.
        num_bins: number of bins per axis.
        min_box: least area of a mask's box as a share of its image.
        limit: most masks to measure, the first ones; all where it is not given.
        out: folder of the CSV file and the figure.

    Raises:
        InputError: a file holds no mask, or a setting is unknown.
    """
    if limit is not None and limit < 1:
        raise InputError(f"--limit is {limit}; one mask at least is measured")
    files = [Path(name) for name in masks]
    cv2.setNumThreads(0)  # one thread, as in a data worker
    settings = list(product(methods, multipart, points))
    warm_up = np.pad(np.ones((40, 40), dtype=bool), 20)
    for method, policy, n in settings:  # compiles the kernels, and refuses a wrong setting at once
        decode(encode(warm_up, n, method, policy, num_bins), warm_up.shape, num_bins)
    notes = {setting: Measurements() for setting in settings}
    single: list[bool] = []  # by mask, whether it has one part and no hole
    progress = Console(stderr=True)
    without: list[Path] = []
    measured = islice(_masks_of(files, min_box, without), limit)
    for mask in track(measured, "masks", transient=True, console=progress):
        single.append(len(find_rings(mask)) == 1)
        for setting, note in notes.items():
            _measure(note, mask, *setting, num_bins)
    lacking = [_what_lacks(file, min_box) for file in without]
    if not single:
        raise InputError("; ".join(lacking))
    for text in lacking:
        say(text)
    rows = [_summary(*setting, note, np.array(single)) for setting, note in notes.items()]
    out.mkdir(parents=True, exist_ok=True)
    _print(rows, single)
    _write_csv(rows, out / "codec_bench.csv")
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        curves.setdefault((row.method, row.multipart), []).append((row.tokens_paper, row.iou))
    print(f"wrote {out / 'codec_bench.csv'}")
    try:
        plot_curves(curves, "tokens per mask (6 per point)", "IoU (%)", out / "codec_bench.png")
        print(f"wrote {out / 'codec_bench.png'}")
    except InputError as error:  # what took minutes to measure is there without it
        say(str(error))


def _masks_of(files: Sequence[Path], min_box: float, without: list[Path]) -> Iterator[Mask]:
    """The masks of all files; a file that gives none is added to `without`."""
    for file in files:
        count = 0
        for mask in read_masks([file], min_box):
            count += 1
            yield mask
        if not count:
            without.append(file)


def _what_lacks(file: Path, min_box: float) -> str:
    """Why a file gives no mask: it has none, or they are too small."""
    if next(read_masks([file]), None) is None:
        return f"{file} holds no mask; crowds and empty ones are left out"
    share = f"{100 * min_box:g}% of its image"
    return f"no mask with a box of at least {share} in {file}; --min_box asks for less"


def _measure(
    note: Measurements,
    mask: Mask,
    method: Method,
    multipart: Multipart,
    points: int,
    num_bins: int,
) -> None:
    start = perf_counter()
    sequences = encode(mask, points, method, multipart, num_bins)
    middle = perf_counter()
    decoded = decode(sequences, mask.shape, num_bins)
    end = perf_counter()
    note.encode_us.append(1e6 * (middle - start))
    note.decode_us.append(1e6 * (end - middle))
    note.iou.append(100 * np.count_nonzero(decoded & mask) / np.count_nonzero(decoded | mask))
    note.boundary_f.append(100 * boundary_f(decoded, mask))
    note.sequences.append(len(sequences))


def _summary(
    method: str,
    multipart: str,
    points: int,
    note: Measurements,
    single: np.ndarray,
) -> Row:
    iou = np.array(note.iou)  # (masks,), percent
    sequences = float(np.mean(note.sequences))  # of a mask
    return Row(
        method=method,
        multipart=multipart,
        points=points,
        masks=len(iou),
        iou=float(iou.mean()),
        iou_median=float(np.median(iou)),
        iou_p5=float(np.percentile(iou, 5)),
        iou_single=float(iou[single].mean()) if single.any() else float("nan"),
        iou_multi=float(iou[~single].mean()) if not single.all() else float("nan"),
        boundary_f=float(np.mean(note.boundary_f)),
        encode_us=float(np.median(note.encode_us)),
        decode_us=float(np.median(note.decode_us)),
        tokens_paper=sequences * (6 * points + 1) - 1,
        tokens_compact=sequences * (2 * points + 3) - 1,
    )


def _print(rows: Sequence[Row], single: Sequence[bool]) -> None:
    console = Console()
    console.width = max(console.width, 150)
    table = Table(
        title=f"{len(single)} masks, {sum(single)} of one part without holes; IoU and boundary F in percent"
    )
    columns = [column for column in fields(Row) if column.name != "masks"]
    for column in columns:
        justify: Literal["left", "right"] = "left" if column.type is str else "right"
        table.add_column(column.name.replace("_", " "), justify=justify)
    for row in rows:
        table.add_row(*[_cell(column.name, getattr(row, column.name)) for column in columns])
    console.print(table)


def _cell(name: str, value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if name.startswith(("encode", "decode", "tokens")) else f"{value:.2f}"


def _write_csv(rows: Sequence[Row], path: Path) -> None:
    names = [column.name for column in fields(Row)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in rows:
            writer.writerow([_cell(name, getattr(row, name)) for name in names])
