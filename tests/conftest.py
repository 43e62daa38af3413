"""Settings that must stand before torch, cv2 and the Hugging Face libraries are imported."""

import os

# Threads that sleep while they wait, no network, no version check.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import cv2
import hypothesis
import torch

torch.set_num_threads(min(2, int(os.environ["OMP_NUM_THREADS"])))
cv2.setNumThreads(0)

# The same examples on every run, and no failure because a shared machine is slow.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("fixed")
