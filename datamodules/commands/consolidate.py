"""`consolidate`: the weights of a sharded checkpoint in one file.

python main.py consolidate runs/stage1 stage1.ckpt
"""

from datamodules.commands.options import ConsolidateOptions
from vista.app.runs import find_checkpoint
from vista.data import InputError
from vista.training.checkpoints import read_checkpoint, write_checkpoint

KEPT = ("state_dict", "vista", "epoch", "global_step", "pytorch-lightning_version")


def main(options: ConsolidateOptions) -> None:
    """Read, keep the weights and what belongs to them, write.

    Raises:
        InputError: the checkpoint is damaged, or lacks what belongs to its weights.
    """
    path = find_checkpoint(options.run)
    checkpoint = read_checkpoint(path)
    if missing := [key for key in KEPT if key not in checkpoint]:
        raise InputError(f"{path} lacks {missing[0]!r}; it was not written by a training")
    kept = {key: checkpoint[key] for key in KEPT}
    write_checkpoint(kept, options.out)
    print(f"{options.out}: {len(kept['state_dict'])} tensors")
