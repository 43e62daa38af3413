"""LLaVA-Instruct: free answers, for watching a training, not for claims.

    ROUGE_L of the last turn's answer against the reference answer, since there is no official score

https://llava-vl.github.io, arXiv:2304.08485.
"""

from collections.abc import Mapping

from vista.data import Prediction, Reference
from vista.metrics.caption import caption_scores, strip_markup
from vista.metrics.evaluator import CorpusEvaluator


class LLaVAMetric(CorpusEvaluator):
    """ROUGE_L. Reference: `{"answer": str}`, of the last turn; prediction: `answer`. Keys: `ROUGE_L`.

    Args:
        tokenizer: `auto`, `java` or `python`, see `vista.metrics.ptb.tokenize`.
    """

    def __init__(self, tokenizer: str = "auto") -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Keep the answer and its reference."""
        self.records.append(("" if pred.malformed else strip_markup(pred.answer), ref["answer"]))
        return {}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Score the answers of all processes on the first one."""
        records = self.gathered()
        answers = [answer for answer, _ in records]
        references = [[reference] for _, reference in records]
        return self.on_first(
            lambda: caption_scores(answers, references, ("ROUGE_L",), self.tokenizer)
        )
