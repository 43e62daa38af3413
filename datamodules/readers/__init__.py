"""Readers of official dataset files, by dataset name."""

from datamodules.readers.coco import Coco, CocoInstances
from datamodules.readers.nlvr2 import NLVR2
from datamodules.readers.reader import Reader
from datamodules.readers.refer import RefCOCO, RefCOCOg, RefCOCOPlus
from datamodules.readers.vqav2 import VQAv2

READERS: dict[str, type[Reader]] = {
    "coco": Coco,
    "coco_instances": CocoInstances,
    "nlvr2": NLVR2,
    "refcoco": RefCOCO,
    "refcocog": RefCOCOg,
    "refcocop": RefCOCOPlus,
    "vqav2": VQAv2,
}
