"""`consolidate`: the weights of a sharded checkpoint in one file.

python main.py consolidate runs/stage1 stage1.ckpt
"""

from datamodules.commands.options import ConsolidateOptions
from vista.app.runs import find_checkpoint
from vista.training.checkpoints import read_checkpoint, write_checkpoint


def main(options: ConsolidateOptions) -> None:
    """Read, keep the weights and what belongs to them, write."""
    checkpoint = read_checkpoint(find_checkpoint(options.run))
    kept = {
        key: checkpoint[key]
        for key in ("state_dict", "vista", "epoch", "global_step", "pytorch-lightning_version")
    }
    write_checkpoint(kept, options.out)
    print(f"{options.out}: {len(kept['state_dict'])} tensors")
