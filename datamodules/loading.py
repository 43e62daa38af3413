"""From the sources of a config to annotations that can be served: compiled once, put together as their tasks ask.

loading = Loading(root, codec, Path("data/compiled"))
loading.load({"rec_refcoco": Source(...)}, "val")       # [LoadedSource("rec_refcoco", REC, root, Annotations)]
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

from datamodules.compiled import Annotations, code_of, compiled, digest
from datamodules.readers.reader import Stamp, stamp
from datamodules.source import LoadedSource, Source, read_annotations, whole_images
from tasks import Task
from vista.codec.codec import Codec
from vista.data import Annotation, MissingFileError
from vista.images import load_image


class Regrouped:
    """What a task makes of all that a reader gives: the origin of a compiled file of its own."""

    def __init__(self, task: Task, annotations: Annotations) -> None:
        """Keep both; the compiled file of the annotations is watched."""
        self.task, self.annotations = task, annotations
        self.problems: list[tuple[str, str]] = []
        self.watched: dict[str, Stamp | None] = {
            str(annotations.file.absolute()): stamp(str(annotations.file))
        }

    def __iter__(self) -> Iterator[Annotation]:
        yield from self.task.regroup(self.annotations)


class Loading:
    """Reads splits, each once."""

    def __init__(self, root: Path, codec: Codec, folder: Path, allow_missing: bool = False) -> None:
        """Keep the settings.

        Args:
            root: data root of the sources that have none of their own.
            codec: of the tasks.
            folder: where compiled annotations are kept.
            allow_missing: leave out samples whose image is missing, however many.
        """
        self.root, self.codec, self.folder, self.allow_missing = root, codec, folder, allow_missing
        self._read: dict[tuple[str, Path, str], Annotations] = {}

    def annotations(self, name: str, source: Source, split: str) -> Annotations:
        """All that the reader of a source gives of a split.

        Raises:
            MissingFileError: an official file is missing.
            ValueError: too much of it cannot be used.
        """
        key = source.dataset, source.root or self.root, split
        if key not in self._read:
            try:
                self._read[key] = read_annotations(*key, self.folder, self.allow_missing)
            except FileNotFoundError as error:
                raise MissingFileError(f"source {name}: {error}") from error
        return self._read[key]

    def load(
        self, sources: dict[str, Source], part: Literal["train", "val", "test"]
    ) -> list[LoadedSource]:
        """The splits of some sources as their tasks ask about them: one of each, or those behind the scores of `test`.

        Raises:
            FileNotFoundError, ValueError: as `annotations`, or a task can make nothing of them.
        """
        loaded = []
        for name, source in sources.items():
            task = Task.known[source.task](self.codec)
            splits = source.test if part == "test" else {name: getattr(source, part)}
            for score, split in splits.items():
                if split:
                    annotations = self._regrouped(task, self.annotations(name, source, split))
                    loaded.append(LoadedSource(score, task, source.root or self.root, annotations))
        return loaded

    def _regrouped(self, task: Task, annotations: Annotations) -> Annotations:
        if type(task).regroup is Task.regroup:
            return annotations
        rows = b"" if annotations.rows is None else annotations.rows.tobytes()
        codec = sorted(vars(self.codec).items())
        key = digest(annotations.file.name, sha256(rows).hexdigest(), code_of(type(task)), codec)
        stem = annotations.file.stem.rpartition("-")[0]
        return compiled(self.folder, f"{stem}-{task.name}-{key}", Regrouped(task, annotations))


def asked(task: Task, images: Sequence[str], text: str) -> LoadedSource:
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


def in_unseen_words(sources: Sequence[LoadedSource]) -> list[LoadedSource]:
    """The sources once more, in all instructions in turn that are never trained on, where their tasks have such."""
    others = [(source, source.task.in_unseen_words()) for source in sources]
    return [
        replace(s, name=f"{s.name}_unseen_wording", task=t, wordings=len(t.templates))
        for s, t in others
        if t
    ]


def limit(sources: list[LoadedSource], most: int | None) -> None:
    """Keep about `most` annotations of each source; None: all of them."""
    for source in sources:
        source.annotations = whole_images(source.annotations, most)
