"""Streams of scenes: which random numbers belong to which scene of which split.

A scene is a pure function of (seed, stream, index) and, in training, of the number of scenes: they are sorted from few
objects to many (`crowd`), so that files can be learned from in their order. Streams are the splits: two streams, or two
indices of one stream, use different keys of a counter-based generator (Philox), so splits share no scene and any
process can draw any scene.
"""

import numpy as np

from datamodules.synthetic.scene import MAX_OBJECTS

_CORE_STREAMS = (
    "train",
    "val",
    "test",
    "refer_test",
    "pretrain",
    "nlvr2_train",
    "nlvr2_dev",
    "nlvr2_test1",
    "language",
)
_SPLITS = ("train", "val", "test")
_FORMAT_SPLITS = {
    "visual_genome": _SPLITS,
    "flickr30k_entities": _SPLITS,
    "vcr": _SPLITS,
    "textvqa": _SPLITS,
    "iconqa": _SPLITS,
    "hateful_memes": ("train", "dev_seen", "dev_unseen", "test_seen", "test_unseen"),
    "coseg": ("pascal", "msrc", "icoseg"),
    "groupwise_res": _SPLITS,
}


def _all_streams() -> tuple[str, ...]:
    streams = list(_CORE_STREAMS)
    for name, splits in _FORMAT_SPLITS.items():
        streams += [f"{name}_{split}" for split in splits]
    return tuple(streams)


# A stream's index here is part of its key: new ones are added at the end.
STREAMS = _all_streams()
EASY_SHARE = 0.7  # of the training scenes, after which the largest crowds are reached


def generator(seed: int, stream: str, index: int) -> np.random.Generator:
    """The random generator that belongs to one index of one stream; every other one is independent of it."""
    # A Philox key has two words: the seed, and the stream with 40 bits for the index.
    key = np.array([seed, STREAMS.index(stream) << 40 | index], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def crowd(index: int, total: int) -> int:
    """Most objects of a training scene: one at first, and as many as there may be after `EASY_SHARE` of all scenes."""
    return min(MAX_OBJECTS, 1 + int(index * MAX_OBJECTS / (EASY_SHARE * total)))
