"""Which parts of a `VistaLLM` are trained, as a whole or by adapters; the others are frozen.

freeze_parts(model, ["tokenizer", "llm"])
first = put_on_parts(model, Adapters(targets={"llm": ["all"]}), ["tokenizer", "llm"], tokenizer.added_ids, True)
"""

from collections.abc import Collection, Sequence

from vista.models.adapters import Adapters, put_on
from vista.models.stored import Stored
from vista.models.vistallm import VistaLLM

PARTS = {  # what may be trained or frozen -> the names in VistaLLM
    "encoder": ("vision_model",),
    "tokenizer": ("qformer", "query_tokens", "language_projection"),
    "llm": ("language_model",),
}


def freeze_parts(model: VistaLLM, trainable: Collection[str]) -> None:
    """Let only some parts be trained."""
    for part, names in PARTS.items():
        for name in names:
            getattr(model, name).requires_grad_(part in trainable)


def put_on_parts(
    model: VistaLLM,
    settings: Adapters,
    trainable: Collection[str],
    rows: Sequence[int],
    own_words: bool,
) -> dict[str, dict[str, Stored]]:
    """In each part that is trained and has targets, adapters in the place of its own weights.

    Args:
        model: whose parts are frozen that are.
        settings: of the adapters.
        trainable: parts that are trained.
        rows: of the LLM's embedding tables, which are trained beside its adapters.
        own_words: whether the QFormer has a tokenizer of its own; else it reads the LLM's ids, and has these rows too.

    Returns:
        by the name of the part in the model, what its adapters begin with, see `put_on`.

    Raises:
        InputError: see `put_on`.
    """
    readers = {"llm"} if own_words else {"llm", "tokenizer"}
    first = {}
    for part in [part for part in settings.targets if part in trainable]:
        name, own = PARTS[part][0], rows if part in readers else []
        first[name] = put_on(getattr(model, name), settings, settings.targets[part], own)
    return first
