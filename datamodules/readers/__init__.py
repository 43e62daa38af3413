"""Readers of official dataset files, by dataset name."""

from datamodules.readers.attcoseg_coco import AttCoSegCoco
from datamodules.readers.coco import Coco, CocoInstances
from datamodules.readers.coseg import CoSeg
from datamodules.readers.coseg_groups import CoSegGroups
from datamodules.readers.flickr30k_entities import Flickr30kEntities
from datamodules.readers.grefcoco import GRefCOCO
from datamodules.readers.groupwise_res import AttCoSeg, GroupwiseRES
from datamodules.readers.hateful_memes import HatefulMemes
from datamodules.readers.iconqa import IconQA
from datamodules.readers.llava_instruct import LlavaInstruct
from datamodules.readers.nlvr2 import NLVR2
from datamodules.readers.pointingqa import LocalQA, LookTwice
from datamodules.readers.pope import POPE
from datamodules.readers.reader import Reader
from datamodules.readers.refer import RefCOCO, RefCOCOg, RefCOCOPlus
from datamodules.readers.textvqa import TextVQA
from datamodules.readers.vcr import VCR
from datamodules.readers.visual7w import Visual7W, Visual7WTelling
from datamodules.readers.visual_genome import VisualGenome
from datamodules.readers.vqav2 import VQAv2

READERS: dict[str, type[Reader]] = {
    "attcoseg": AttCoSeg,
    "attcoseg_coco": AttCoSegCoco,
    "coco": Coco,
    "coco_instances": CocoInstances,
    "coseg": CoSeg,
    "coseg_groups": CoSegGroups,
    "flickr30k_entities": Flickr30kEntities,
    "grefcoco": GRefCOCO,
    "groupwise_res": GroupwiseRES,
    "hateful_memes": HatefulMemes,
    "iconqa": IconQA,
    "llava_instruct": LlavaInstruct,
    "localqa": LocalQA,
    "looktwice": LookTwice,
    "nlvr2": NLVR2,
    "pope": POPE,
    "refcoco": RefCOCO,
    "refcocog": RefCOCOg,
    "refcocop": RefCOCOPlus,
    "textvqa": TextVQA,
    "vcr": VCR,
    "visual7w": Visual7W,
    "visual7w_telling": Visual7WTelling,
    "visual_genome": VisualGenome,
    "vqav2": VQAv2,
}
