"""Kill outcome: what a run went through that was killed again and again, and what is wrong with what the kills left."""

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.step_ids import History
from benchmarks.step_tags import mixed_tensors
from vista.data import InputError
from vista.training.checkpoints import check_sound


@dataclass
class Outcome:
    """What a run went through that was killed again and again.

    Attributes:
        survived: history up to the checkpoints that were resumed from, and of the last run.
        sizes: processes of each start.
        kills: of a running training.
        while_saving: those of them that left an unfinished checkpoint.
        checkpoints: that the kills left.
        tensors: of these, where they are sharded.
        faults: checkpoints that are not sound, and tensors that are not of their checkpoint's step.
    """

    survived: History = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    kills: int = 0
    while_saving: int = 0
    checkpoints: int = 0
    tensors: int = 0
    faults: list[str] = field(default_factory=list)

    def inspect(self, run: Path) -> None:
        """Look at every checkpoint that a kill has left."""
        self.while_saving += bool(unfinished_of(run))
        for path in checkpoints_of(run):
            self.checkpoints += 1
            try:
                check_sound(path)
                count, wrong = mixed_tensors(path) if path.is_dir() else (0, [])
            except InputError as error:
                self.faults.append(str(error))
            else:
                self.tensors += count
                self.faults += [f"{path}: {name}" for name in wrong]


def unfinished_of(run: Path) -> list[Path]:
    """What is being saved, or was when the run was killed."""
    return list(run.glob("checkpoints/*.unfinished"))


def checkpoints_of(run: Path) -> list[Path]:
    """What can be resumed from."""
    return sorted(run.glob("checkpoints/*.ckpt"))
