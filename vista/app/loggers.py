"""Where a run's numbers go: our TensorBoard and CSV files, and beside them whatever logger of Lightning is named.

--trainer.logger lightning.pytorch.loggers.WandbLogger --trainer.logger.project vista
--trainer.logger false                                   no logger at all
"""

from collections.abc import Iterable
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

Given = Logger | Iterable[Logger] | bool | None


def loggers_of(given: Given, folder: Path, training: bool) -> list[Logger]:
    """The loggers of a trainer.

    Args:
        given: by `--trainer.logger`; None or true: ours alone; false: none.
        folder: of the run, which ours write to.
        training: only then we have some of our own, scores of a test stand in a file of their own.
    """
    if given is False:
        return []
    own: list[Logger] = []
    if training:
        # In this order: the CSV logger warns of files that are there already, as those of TensorBoard would be.
        own = [CSVLogger(folder, "", "logs"), TensorBoardLogger(folder, "", "logs")]
    if given is None or given is True:
        return own
    return [*own, given] if isinstance(given, Logger) else [*own, *given]
