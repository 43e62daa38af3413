"""Where a run resumes: the place in the order of samples that a checkpoint keeps, and whether the order is the same.

{"epoch": 2, "sample": 4096, "step": 256, "order": {"--data.order.seed": 0, ...}, "shuffle": 2}
"""

from collections.abc import Mapping
from typing import Any

from lightning import LightningDataModule

from datamodules.order import SHUFFLE, GlobalBatches
from vista.data import InputError
from vista.training.resume import Position


class ResumableData(LightningDataModule):
    """The part of `MixtureData` that knows its place."""

    def __init__(self, batch_size: int) -> None:
        """Begin at the beginning.

        Args:
            batch_size: samples in a global batch, over all processes.
        """
        super().__init__()
        self.batch_size = batch_size
        self.resumed: Position | None = None  # where training begins, if not at its beginning
        self.batches: GlobalBatches | None = None
        self.order_of: dict[str, Any] = {}  # what decides the order of samples

    def state_dict(self) -> dict[str, Any]:
        """Where a run resumes from the checkpoint that is being saved: at a sample, of batches of any size.

        The samples of a step that is not yet made, or of some of its batches only, come again.
        """
        assert self.trainer is not None
        loop, each = self.trainer.fit_loop, self.trainer.accumulate_grad_batches
        epochs, batches = loop.epoch_progress.current.ready, loop.epoch_loop.batch_progress
        done: int = batches.current.processed  # type: ignore[attr-defined]
        ended = batches.is_last_batch and done == batches.current.ready
        place = (epochs, 0) if ended else (max(0, epochs - 1), done - done % each)
        return {
            "epoch": place[0],
            "sample": place[1] * self.batch_size,
            "step": each * self.batch_size,
            "order": self.order_of,
            "shuffle": SHUFFLE,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume there, with a loader that is there already, too.

        Lightning's own counters come too late: the schedule asks for the loader before them. A sharded run restores
        even this only after its loader was made.

        Raises:
            InputError: no step of this run begins there, or its samples come in another order.
        """
        assert self.trainer is not None
        if self.trainer.state.fn != "fit":
            return
        if state_dict.get("shuffle") != SHUFFLE:
            raise InputError(
                "the checkpoint stands in an order of samples that another release has made, and in this one's some "
                "would come twice; resume it with that release, or begin a new run with --model.init_from"
            )
        check_order(state_dict["order"], self.order_of)
        step = self.trainer.accumulate_grad_batches * self.batch_size
        sample = state_dict["sample"]
        if sample % step:
            raise InputError(
                f"the checkpoint stands at sample {sample} of its epoch, where no step of {step} samples begins; "
                f"resume with the {state_dict['step']} samples a step that it was made with "
                "(--data.batch_size), or with a number that goes into both"
            )
        same = state_dict["step"] == step
        self.resumed = Position(state_dict["epoch"], sample // self.batch_size, same)
        if self.batches is not None:
            self.batches.epoch, self.batches.start = self.resumed.epoch, self.resumed.batch


def check_order(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to resume in another order of samples: some would come twice, and others never.

    Args:
        saved: what decided the order when the checkpoint was made.
        now: what decides it in this run.

    Raises:
        InputError: names the first difference.
    """
    for name in {**saved, **now}:
        then, given = (order.get(name, "not there") for order in (saved, now))
        if then != given:
            raise InputError(
                f"{name} is {given}, but it was {then} when the checkpoint was made, and in another order some samples "
                "would come twice; take it back, or begin a new run with --model.init_from"
            )
