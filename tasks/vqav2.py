"""VQAv2: a free question, a short answer.

    "What color is the circle?" -> "red"

https://visualqa.org, arXiv:1612.00837.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence

from vista.answers import extract_answer
from vista.data import Annotation, Prediction, Reference
from vista.decoding.grammar import Grammar, Text
from vista.metrics.evaluator import Evaluator
from vista.metrics.vqa import VQAMetric, evalai_results
from vista.task import Task, commonest


class VQAv2(Task):
    """Question to the most frequent answer."""

    name = "vqav2"
    datasets = frozenset({"vqav2"})
    fields = frozenset({"question", "answers", "label"})
    answer_fields = frozenset({"answers", "label"})
    headline = "accuracy"
    baseline_name = "majority answer per question type"
    max_new_tokens = 16

    def target(self, annotation: Annotation) -> str:
        """The answer that most annotators gave, as the file names it."""
        return annotation.label

    def grammar(self, annotation: Annotation) -> Grammar:
        """Any words."""
        return (Text(),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """What follows `The answer is`, else the whole text."""
        return Prediction(text=text, answer=extract_answer(text))

    def reference(self, annotation: Annotation) -> Reference:
        """Ten answers and the type of the answer."""
        kind = annotation.extra.get("answer_type", "")
        return {"answers": list(annotation.answers), "answer_type": kind}

    def submission(self, answers: Iterable[tuple[Annotation, Prediction]]) -> tuple[str, str]:
        """EvalAI's list of question ids and answers."""
        rows = []
        for annotation, prediction in answers:
            rows += evalai_results([annotation.extra["question_id"]], [prediction])
        return ".json", json.dumps(rows)

    def evaluator(self) -> Evaluator:
        """The official soft accuracy."""
        return VQAMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """The commonest answer of each question type."""
        labels: dict[str, list[str]] = defaultdict(list)
        for a in annotations:
            labels[a.extra.get("question_type", "")].append(a.label)
        common = {kind: commonest(found) for kind, found in labels.items()}
        return [self.parse(common[a.extra.get("question_type", "")], a) for a in annotations]
