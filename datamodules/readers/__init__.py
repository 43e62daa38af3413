"""Readers of official dataset files, by dataset name."""

from datamodules.readers.attcoseg_coco import AttCoSegCocoReader
from datamodules.readers.coco import CocoInstancesReader, CocoReader
from datamodules.readers.coco_file import CocoFileReader
from datamodules.readers.coseg import CoSegReader
from datamodules.readers.coseg_groups import CoSegGroupsReader
from datamodules.readers.flickr30k_entities import Flickr30kEntitiesReader
from datamodules.readers.folder import FolderReader
from datamodules.readers.grefcoco import GRefCOCOReader
from datamodules.readers.groundingme import GroundingMEReader
from datamodules.readers.groupwise_res import AttCoSegReader, GroupwiseRESReader
from datamodules.readers.hateful_memes import HatefulMemesReader
from datamodules.readers.iconqa import IconQAReader
from datamodules.readers.jsonl import JsonlReader
from datamodules.readers.llava_instruct import LlavaInstructReader
from datamodules.readers.nlvr2 import NLVR2Reader
from datamodules.readers.pointingqa import LocalQAReader, LookTwiceReader
from datamodules.readers.pope import POPEReader
from datamodules.readers.reader import Reader
from datamodules.readers.reasonseg import ReasonSegReader
from datamodules.readers.ref_l4 import RefL4Reader
from datamodules.readers.refcoco_m import RefCOCOMReader
from datamodules.readers.refer import RefCOCOgReader, RefCOCOPlusReader, RefCOCOReader
from datamodules.readers.textvqa import TextVQAReader
from datamodules.readers.vcr import VCRReader
from datamodules.readers.visual7w import Visual7WReader, Visual7WTellingReader
from datamodules.readers.visual_genome import VisualGenomeReader
from datamodules.readers.vqav2 import VQAv2Reader

READERS: dict[str, type[Reader]] = {
    "attcoseg": AttCoSegReader,
    "attcoseg_coco": AttCoSegCocoReader,
    "coco": CocoReader,
    "coco_file": CocoFileReader,
    "coco_instances": CocoInstancesReader,
    "coseg": CoSegReader,
    "coseg_groups": CoSegGroupsReader,
    "flickr30k_entities": Flickr30kEntitiesReader,
    "folder": FolderReader,
    "grefcoco": GRefCOCOReader,
    "groundingme": GroundingMEReader,
    "groupwise_res": GroupwiseRESReader,
    "hateful_memes": HatefulMemesReader,
    "iconqa": IconQAReader,
    "jsonl": JsonlReader,
    "llava_instruct": LlavaInstructReader,
    "localqa": LocalQAReader,
    "looktwice": LookTwiceReader,
    "nlvr2": NLVR2Reader,
    "pope": POPEReader,
    "reasonseg": ReasonSegReader,
    "ref_l4": RefL4Reader,
    "refcoco": RefCOCOReader,
    "refcoco_m": RefCOCOMReader,
    "refcocog": RefCOCOgReader,
    "refcocop": RefCOCOPlusReader,
    "textvqa": TextVQAReader,
    "vcr": VCRReader,
    "visual7w": Visual7WReader,
    "visual7w_telling": Visual7WTellingReader,
    "visual_genome": VisualGenomeReader,
    "vqav2": VQAv2Reader,
}
