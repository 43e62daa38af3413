"""What a task is made of, under one name: `from vista import Choice, Prediction, RECMetric, Task`.

A name is looked up when it is first asked for (PEP 562), so that `import vista` alone imports nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers and editors see; HOMES says the same at run time
    from vista.codec.codec import Codec as Codec
    from vista.data import Annotation as Annotation
    from vista.data import Prediction as Prediction
    from vista.decoding.grammar import Choice as Choice
    from vista.decoding.grammar import Grammar as Grammar
    from vista.decoding.grammar import Literal as Literal
    from vista.decoding.grammar import Regions as Regions
    from vista.decoding.grammar import Text as Text
    from vista.decoding.grammar import TextWithBoxes as TextWithBoxes
    from vista.metrics.caption import CaptionMetric as CaptionMetric
    from vista.metrics.evaluator import CorpusEvaluator as CorpusEvaluator
    from vista.metrics.evaluator import Evaluator as Evaluator
    from vista.metrics.grec import GRECMetric as GRECMetric
    from vista.metrics.gres import GRESMetric as GRESMetric
    from vista.metrics.rec import RECMetric as RECMetric
    from vista.metrics.res import RESMetric as RESMetric
    from vista.metrics.vqa import VQAMetric as VQAMetric
    from vista.task import Task as Task

HOMES = {  # name -> the module that defines it
    "Annotation": "vista.data",
    "CaptionMetric": "vista.metrics.caption",
    "Choice": "vista.decoding.grammar",
    "Codec": "vista.codec.codec",
    "CorpusEvaluator": "vista.metrics.evaluator",
    "Evaluator": "vista.metrics.evaluator",
    "GRECMetric": "vista.metrics.grec",
    "GRESMetric": "vista.metrics.gres",
    "Grammar": "vista.decoding.grammar",
    "Literal": "vista.decoding.grammar",
    "Prediction": "vista.data",
    "RECMetric": "vista.metrics.rec",
    "RESMetric": "vista.metrics.res",
    "Regions": "vista.decoding.grammar",
    "Task": "vista.task",
    "Text": "vista.decoding.grammar",
    "TextWithBoxes": "vista.decoding.grammar",
    "VQAMetric": "vista.metrics.vqa",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> object:
    """Import a name from its home, once."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Everything, also what is not imported yet."""
    return sorted({*globals(), *HOMES})
