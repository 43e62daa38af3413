"""COCO, RefCOCO, VQA v2 and NLVR2 of the generated world: the formats that are always there, drawn in one pass."""

from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from datamodules.synthetic import coco, nlvr2, refer, vqa
from datamodules.synthetic.captions import captions
from datamodules.synthetic.chunks import Chunk, Pieces, chunks, column, run
from datamodules.synthetic.files import json_lines, save_image, write_lines
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.questions import Quota, questions

# Where a stream's images go. As in reality, RefCOCO's val and test images are COCO training images.
FOLDERS = {
    "train": "train2017",
    "val": "train2017",
    "refer_test": "train2017",
    "test": "val2017",
    "pretrain": "train2017",
}
WITH_TEXT = ("train", "test")  # streams that have captions and questions
WITH_REFS = ("train", "val", "refer_test")
NLVR2_SPLITS = ("train", "dev", "test1")


def core_jobs(
    seed: int, num_train: int, num_val: int, num_test: int, image_size: int
) -> list[Chunk]:
    """The chunks of the four formats; see `write_world` for the numbers."""
    streams = {"train": num_train, "val": num_val, "refer_test": num_test, "test": num_test}
    pairs = (num_train // 4, num_val * 3 // 5, num_test * 3 // 5)
    streams |= {
        f"nlvr2_{split}": nlvr2.num_sets(n) for split, n in zip(NLVR2_SPLITS, pairs, strict=True)
    }
    return [
        job
        for stream, number in streams.items()
        for job in chunks(seed, stream, number, image_size)
    ]


def write_core(root: Path, jobs: list[Chunk], pool: ProcessPoolExecutor | None) -> None:
    """Writes the four formats below `root`."""
    _make_folders(root, jobs)
    pieces = run(root, jobs, pool, _draw)
    for stream, folder, subtype in (
        ("train", "train2017", "train2014"),
        ("test", "val2017", "val2014"),
    ):
        own = [piece for piece in pieces if piece.stream == stream]
        _write_instances(root, folder, own)
        path = root / "coco" / "annotations" / f"captions_{folder}.json"
        coco.write_captions(path, column(own, "images"), column(own, "captions"))
        vqa.write_vqa(root, subtype, column(own, "questions"), column(own, "answers"))
    referred = [piece for piece in pieces if piece.stream in WITH_REFS]
    columns = (column(referred, name) for name in ("refs", "refer_images", "instances"))
    refer.write_refcoco(root, *columns)
    for split in NLVR2_SPLITS:
        lines = column(
            [piece for piece in pieces if piece.stream == f"nlvr2_{split}"], "statements"
        )
        write_lines(root / "nlvr2" / f"{split}.json", lines)


def write_scenes(root: Path, jobs: list[Chunk], pool: ProcessPoolExecutor | None) -> None:
    """Writes scenes as COCO instances alone, `coco/annotations/instances_train2017.json`."""
    _make_folders(root, jobs)
    _write_instances(root, "train2017", run(root, jobs, pool, _draw))


def _make_folders(root: Path, jobs: list[Chunk]) -> None:
    for job in jobs:
        if job.stream in FOLDERS:
            folders = {f"coco/{FOLDERS[job.stream]}"}
        else:
            split = job.stream.removeprefix("nlvr2_")
            folders = {nlvr2.image_folder(split, number) for number in range(job.start, job.stop)}
        for folder in folders:
            (root / folder).mkdir(parents=True, exist_ok=True)


def _write_instances(root: Path, folder: str, pieces: list[Pieces]) -> None:
    path = root / "coco" / "annotations" / f"instances_{folder}.json"
    coco.write_instances(path, column(pieces, "images"), column(pieces, "instances"))


def _draw(root: Path, chunk: Chunk) -> Pieces:
    if chunk.stream.startswith("nlvr2"):
        return _draw_sets(root, chunk)
    records: dict[str, list[Any]] = defaultdict(list)
    quota = Quota()
    folder = FOLDERS[chunk.stream]
    for index, scene in chunk.scenes():
        number = coco.image_id(chunk.stream, index)
        rng = wording(chunk.seed, chunk.stream, index)
        save_image(root / "coco" / folder / f"{number:012d}.jpg", scene.image)
        records["images"].append(coco.image_record(number, folder, chunk.image_size))
        records["instances"] += coco.instance_records(scene, number)
        if chunk.stream in WITH_TEXT:
            records["captions"] += coco.caption_records(captions(scene, rng), number)
            asked, answered = vqa.vqa_records(questions(scene, rng, quota), number)
            records["questions"] += asked
            records["answers"] += answered
        if chunk.stream in WITH_REFS:
            name = refer.file_name(number)
            records["refer_images"].append(
                coco.image_record(number, "train2014", chunk.image_size, name)
            )
            records["refs"] += refer.ref_records(
                scene, number, refer.split_of(chunk.stream, index), rng
            )
    return Pieces(chunk.stream, {name: json_lines(lines) for name, lines in records.items()})


def _draw_sets(root: Path, chunk: Chunk) -> Pieces:
    split = chunk.stream.removeprefix("nlvr2_")
    records: list[dict[str, Any]] = []
    for number in range(chunk.start, chunk.stop):
        records += nlvr2.write_set(root, chunk.seed, split, number, chunk.image_size)
    return Pieces(chunk.stream, {"statements": json_lines(records)})
