"""COCO, RefCOCO, VQA v2 and NLVR2 of the generated world: the formats that are always there, drawn in one pass."""

from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from datamodules.synthetic import coco, nlvr2, refer, vqa
from datamodules.synthetic.captions import captions
from datamodules.synthetic.chunks import Chunk, Pieces, chunks, column, of_stream, run
from datamodules.synthetic.files import Record, save_image, write_lines
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
# Streams with a COCO split of their own: its folder, and VQA's name for the same images.
COCO_SPLITS = {"train": ("train2017", "train2014"), "test": ("val2017", "val2014")}


def core_jobs(
    seed: int,
    num_train: int,
    num_val: int,
    num_test: int,
    image_size: int,
) -> list[Chunk]:
    """The chunks of the four formats; see `write_world` for the numbers."""
    sizes = {
        "train": num_train,
        "val": num_val,
        "refer_test": num_test,
        "test": num_test,
        "nlvr2_train": nlvr2.num_sets(num_train // 2),
        "nlvr2_dev": nlvr2.num_sets(num_val * 3 // 5),
        "nlvr2_test1": nlvr2.num_sets(num_test * 3 // 5),
    }
    jobs: list[Chunk] = []
    for stream, number in sizes.items():
        jobs += chunks(seed, stream, number, image_size)
    return jobs


def write_core(root: Path, jobs: list[Chunk], pool: ProcessPoolExecutor | None) -> None:
    """Writes the four formats below `root`."""
    _make_folders(root, jobs)
    pieces = run(root, jobs, pool, _draw)
    for stream, (folder, subtype) in COCO_SPLITS.items():
        own = of_stream(pieces, stream)
        _write_instances(root, folder, own)
        path = root / "coco" / "annotations" / f"captions_{folder}.json"
        coco.write_captions(path, column(own, "images"), column(own, "captions"))
        vqa.write_vqa(root, subtype, column(own, "questions"), column(own, "answers"))
    own = of_stream(pieces, "train")
    path = root / "coco" / "annotations" / "instances_train2014.json"
    coco.write_finer_instances(path, column(own, "refer_images"), column(own, "finer"))
    own = [piece for piece in pieces if piece.stream in WITH_REFS]
    images = column(own, "refer_images")
    instances = column(own, "instances")
    refer.write_refcoco(root, column(own, "refs"), images, instances)
    for split in NLVR2_SPLITS:
        statements = column(of_stream(pieces, f"nlvr2_{split}"), "statements")
        write_lines(root / "nlvr2" / f"{split}.json", statements)


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
    records: dict[str, list[Record]] = defaultdict(list)
    quota = Quota()
    folder = FOLDERS[chunk.stream]
    for index, scene in chunk.scenes():
        number = coco.image_id(chunk.stream, index)
        rng = wording(chunk.seed, chunk.stream, index)
        save_image(root / "coco" / folder / f"{number:012d}.jpg", scene.image)
        records["images"].append(coco.image_record(number, folder, chunk.image_size))
        instances = coco.instance_records(scene, number)
        records["instances"] += instances
        if chunk.stream in WITH_TEXT:
            records["captions"] += coco.caption_records(captions(scene, rng), number)
            # Captions first, then questions: both draw their words from one generator.
            scene_questions = questions(scene, rng, quota)
            records["questions"] += vqa.question_records(scene_questions, number)
            records["answers"] += vqa.answer_records(scene_questions, number)
        if chunk.stream == "train":
            records["finer"] += coco.finer_records(scene, number, instances)
        if chunk.stream in WITH_REFS:
            name = refer.file_name(number)
            image = coco.image_record(number, "train2014", chunk.image_size, name)
            records["refer_images"].append(image)
            split = refer.split_of(chunk.stream, index)
            records["refs"] += refer.ref_records(scene, number, split, rng)
    return Pieces.of(chunk, records)


def _draw_sets(root: Path, chunk: Chunk) -> Pieces:
    split = chunk.stream.removeprefix("nlvr2_")
    records: list[Record] = []
    for number in range(chunk.start, chunk.stop):
        records += nlvr2.write_set(root, chunk.seed, split, number, chunk.image_size)
    return Pieces.of(chunk, {"statements": records})
