"""What a task asks about where that is not what a reader gives, e.g. groups of images."""

from collections.abc import Iterator

from datamodules.compiled import Annotations
from datamodules.readers.reader import Stamp, stamp
from tasks import Task
from vista.data import Annotation, located


class Regrouped:
    """What a task makes of all that a reader gives: the origin of a compiled file of its own."""

    def __init__(self, task: Task, annotations: Annotations) -> None:
        """Keep both; the compiled file of the annotations is watched."""
        self.task, self.annotations = task, annotations
        self.problems: list[tuple[str, str]] = []
        file = annotations.file.absolute()
        self.watched: dict[str, Stamp | None] = {str(file): stamp(str(file))}

    def __iter__(self) -> Iterator[Annotation]:
        try:
            yield from self.task.regroup(self.annotations)
        except Exception as error:
            raise located(
                error, f"task {self.task.name}, on {self.annotations.file.name}"
            ) from error
