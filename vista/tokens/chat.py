r"""The chat template of the LLM's own tokenizer, `data.template: own`: what stands around a question.

    <|im_start|>user\n | <image> Is it red? | <|im_end|>\n<|im_start|>assistant\n      and then the answer

The template is rendered once for each number of turns (`chat_frames.py`). Questions never go through it, so that none
can name a control token.
"""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal

from transformers import PreTrainedTokenizerFast

from vista.data import InputError
from vista.tokens.chat_frames import frames
from vista.tokens.tokenizer import Tokenizer

Template = Literal["plain", "vicuna_v1", "own"]


@lru_cache(maxsize=8)
def chat_of(tokenizer: Tokenizer) -> "ChatTemplate":
    """The chat template of a tokenizer, made once; an InputError where there is none."""
    return ChatTemplate(tokenizer.fast, partial(tokenizer.encode, continued=True))


class ChatTemplate:
    """Questions as the LLM was taught to read them."""

    def __init__(self, fast: PreTrainedTokenizerFast, encode: Callable[[str], list[int]]) -> None:
        """Take the template of a tokenizer.

        Args:
            fast: whose folder holds a template.
            encode: text that goes on after other ids -> ids; it knows no control tokens.

        Raises:
            InputError: there is no template, or it cannot be rendered.
        """
        if not fast.chat_template:
            raise InputError(
                "the tokenizer's folder holds no chat template; set data.template to plain or vicuna_v1"
            )
        self._fast, self._encode = fast, encode
        added = fast.backend_tokenizer.get_added_tokens_decoder()
        self._ids = {token.content: i for i, token in added.items()}
        names = sorted(self._ids, key=len, reverse=True)  # of two that begin alike the longer one
        self._control = re.compile(f"({'|'.join(map(re.escape, names))})")
        self._frames: dict[int, list[str]] = {}
        self._around(1)

    def encode(self, prompt: str, turn: int, num_turns: int) -> list[int]:
        """Ids of a question: what stands between the answer before and it, itself, what stands before its answer.

        Args:
            prompt: of the user; what names a control token in it is plain text.
            turn: counts the questions.
            num_turns: of the conversation.
        """
        before, after = self._around(num_turns)[2 * turn : 2 * turn + 2]
        ids: list[int] = []
        run = ""  # pieces may go across where the template ends and the question begins
        for text, trusted in ((before, True), (prompt, False), (after, True)):
            parts = self._control.split(text) if trusted else [text]
            for k, part in enumerate(parts):
                if k % 2:  # every second one is a control token
                    ids += [*self._encode(run), self._ids[part]]
                    run = ""
                else:
                    run += part
        return ids + self._encode(run)

    def _around(self, num_turns: int) -> list[str]:
        """What stands before and after each question."""
        if num_turns not in self._frames:
            self._frames[num_turns] = frames(self._fast, num_turns)
        return self._frames[num_turns]
