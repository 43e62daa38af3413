r"""What a chat template writes around questions and answers: rendered with words in their places, and cut at these.

    <|im_start|>user\n | Question0. | <|im_end|>\n<|im_start|>assistant\n | Answer0. | <|im_end|>\n

transformers runs a template in a sandbox.
"""

from itertools import chain
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast

from vista.data import InputError

# What a template may ask for: no thoughts before an answer (Qwen 3), the same date every day (LLaMA 3).
FIXED: dict[str, Any] = {"enable_thinking": False, "date_string": "26 Jul 2024"}
Messages = list[dict[str, str]]


def frames(fast: PreTrainedTokenizerFast, num_turns: int) -> list[str]:
    """What stands before and after each question of a conversation.

    Args:
        fast: whose folder holds a template.
        num_turns: questions, of which the last one is not answered.

    Raises:
        InputError: the template cannot be rendered, or leaves something out.
    """
    cut = _cut(fast, _conversation(num_turns)[:-1], asks=True)
    # Our answers end with the end token and begin with a space by themselves.
    end = end_of_turn(fast)
    before = [
        frame.lstrip(" ").removeprefix(end) if k else frame for k, frame in enumerate(cut[::2])
    ]
    after = [frame.rstrip(" ") for frame in cut[1::2]]
    return list(chain.from_iterable(zip(before, after, strict=True)))


def end_of_turn(fast: PreTrainedTokenizerFast) -> str:
    """The token that ends an answer: what the chat template writes behind one, such as Gemma's `<end_of_turn>`.

    Args:
        fast: its end token is taken where it has no template, or one that writes no control token there.
    """
    end = str(fast.eos_token)
    if not fast.chat_template:
        return end
    try:
        tail = _cut(fast, _conversation(1), asks=False)[-1].lstrip()
    except InputError:  # it is said where the template is asked for
        return end
    added = fast.backend_tokenizer.get_added_tokens_decoder().values()
    found = [token.content for token in added if token.special and tail.startswith(token.content)]
    return max(found, key=len, default=end)


def _conversation(num_turns: int) -> Messages:
    messages = []
    for turn in range(num_turns):
        messages.append({"role": "user", "content": f"Question{turn}."})
        messages.append({"role": "assistant", "content": f"Answer{turn}."})
    return messages


def _cut(fast: PreTrainedTokenizerFast, messages: Messages, asks: bool) -> list[str]:
    """What stands before each message, and behind the last one; `asks`: for an answer."""
    try:
        rendered = fast.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=asks, **FIXED
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise InputError(f"the chat template cannot be rendered: {error}") from error
    cut, text = [], str(rendered)
    for message in messages:
        frame, found, text = text.partition(message["content"])
        if not found:
            raise InputError(
                f"the chat template leaves out what the {message['role']} says; set data.template to plain"
            )
        cut.append(frame)
    return [*cut, text]
