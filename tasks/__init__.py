"""The tasks of VistaLLM. A new one: a subclass of `Task` in a file of its own and one line here (or `--plugin`)."""

from tasks.caption import Caption
from tasks.nlvr2 import NLVR2
from tasks.rec import REC
from tasks.res import RES
from tasks.task import Task
from tasks.vqav2 import VQAv2

__all__ = ["NLVR2", "REC", "RES", "Caption", "Task", "VQAv2"]
