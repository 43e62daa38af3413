"""The tasks of VistaLLM. A new one: a subclass of `Task` in a file of its own and one line here (or `--plugin`)."""

from tasks.attcoseg import AttCoSeg
from tasks.bqa import BQA
from tasks.caption import Caption
from tasks.coseg import CoSeg
from tasks.grec import GREC
from tasks.gres import GRES
from tasks.hateful_memes import HatefulMemes
from tasks.iconqa import IconQA
from tasks.llava import LLaVA
from tasks.nlvr2 import NLVR2
from tasks.pope import POPE
from tasks.pqa import PQA
from tasks.rec import REC
from tasks.reg import REG
from tasks.res import RES
from tasks.spot_caption import SpotCaption
from tasks.textvqa import TextVQA
from tasks.vcr import VCR
from tasks.vqav2 import VQAv2
from vista.task import Task

__all__ = [
    "BQA", "GREC", "GRES", "NLVR2", "POPE", "PQA", "REC", "REG", "RES", "VCR", "AttCoSeg", "Caption", "CoSeg",
    "HatefulMemes", "IconQA", "LLaVA", "SpotCaption", "Task", "TextVQA", "VQAv2",
]  # fmt: skip
