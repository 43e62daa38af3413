"""Settings that must stand before torch, cv2 and the Hugging Face libraries are imported."""

import os
from pathlib import Path

# Threads that sleep while they wait, no network, no version check.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import cv2
import hypothesis
import pytest
import torch

torch.set_num_threads(min(2, int(os.environ["OMP_NUM_THREADS"])))
cv2.setNumThreads(0)

# The same examples on every run, and no failure because a shared machine is slow.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated world of 64 training scenes, to be read only."""
    from datamodules.synthetic.world import write_world

    root = tmp_path_factory.mktemp("data") / "tiny"  # `fit` would write a whole world where a root is called `world`
    write_world(root, num_train=64, num_val=12, num_test=12, num_workers=1)
    return root
