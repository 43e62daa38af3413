"""`consolidate`: the weights of a sharded checkpoint in one file.

python main.py consolidate runs/stage1 stage1.ckpt
"""

import argparse
from pathlib import Path

from vista.app.runs import find_checkpoint
from vista.training.checkpoints import read_checkpoint, write_checkpoint


def main(arguments: list[str]) -> None:
    """The command line of the verb."""
    parser = argparse.ArgumentParser(
        prog="main.py consolidate",
        description="Write the weights of a sharded checkpoint into one file.",
    )
    parser.add_argument(
        "checkpoint", help="a run, its folder, or the folder of a sharded checkpoint"
    )
    parser.add_argument(
        "out", type=Path, help="file to write, for --ckpt_path or --model.init_from"
    )
    chosen = parser.parse_args(arguments)
    checkpoint = read_checkpoint(find_checkpoint(chosen.checkpoint))
    kept = {
        key: checkpoint[key]
        for key in ("state_dict", "vista", "epoch", "global_step", "pytorch-lightning_version")
    }
    write_checkpoint(kept, chosen.out)
    print(f"{chosen.out}: {len(kept['state_dict'])} tensors")
