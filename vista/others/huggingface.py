"""Questions to a model of transformers: `AutoModelForImageTextToText` and its own processor.

    model = load_model("llava-hf/llava-1.5-7b-hf", "auto", "auto")
    model.answer([turns], [[image]], max_new_tokens=512)        # ["[0.10, 0.25, 0.40, 0.54]"]

Images are handed over sample by sample, prompts are padded on the left, answers are cut at their end and keep their
special tokens: in some families places are such.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from vista.data import InputError, Turns
from vista.others.family import Family, family_of

Part: TypeAlias = dict[str, object]  # of a message


class HuggingFaceModel:
    """Answers batches of questions.

    Attributes:
        family: how it is asked and how it writes places.
        controls: its special tokens.
    """

    def __init__(self, model: Any, processor: Any, family: Family) -> None:
        """Keep the parts.

        Args:
            model: of transformers; it generates.
            processor: its own; its tokenizer is set to pad on the left.
            family: made with this processor.
        """
        self.model, self.processor, self.family = model.eval(), processor, family
        self.tokenizer = processor.tokenizer
        # With pads on the right an answer would go on behind them; most tokenizers' files say right.
        self.tokenizer.padding_side = "left"
        for each in (self.tokenizer, getattr(processor, "qformer_tokenizer", None)):
            if each is not None and each.pad_token is None:
                each.pad_token = each.eos_token
        self.controls = tuple(self.tokenizer.all_special_tokens)

    @property
    def cuts_images(self) -> bool:
        """Whether the processor cuts away what does not lie in a square in the middle of an image."""
        images = getattr(self.processor, "image_processor", None)
        size = getattr(images, "size", None) or {}
        square = "height" in size and size["height"] == size.get("width")
        # An image that the family pads to a square has nothing to be cut.
        pads = type(self.family).prepare is not Family.prepare
        return bool(getattr(images, "do_center_crop", False)) and not square and not pads

    def answer(
        self,
        questions: Sequence[Turns],
        images: Sequence[Sequence[np.ndarray]],
        max_new_tokens: int,
    ) -> list[str]:
        """What the model writes, special tokens included.

        Args:
            questions: turns in the family's form, see `vista.others.asking.Asker.turns`.
            images: of each question, uint8 (H, W, 3), as many as it has marks.
            max_new_tokens: longest answer.
        """
        size = 1 if self.family.alone else len(questions)
        texts: list[str] = []
        for start in range(0, len(questions), max(1, size)):
            part = slice(start, start + size)
            texts += self._generate(self.inputs(questions[part], images[part]), max_new_tokens)
        return texts

    def _generate(self, inputs: Any, max_new_tokens: int) -> list[str]:
        inputs = inputs.to(self.model.device)
        for name, value in inputs.items():
            if torch.is_floating_point(value):
                inputs[name] = value.to(self.model.dtype)
        with torch.inference_mode():
            ids = self.model.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        return [self._decode(row) for row in self._new(ids, inputs["input_ids"])]

    def inputs(self, questions: Sequence[Turns], images: Sequence[Sequence[np.ndarray]]) -> Any:
        """What the processor makes of a batch, on the CPU.

        Raises:
            InputError: the prompt of a sample has not one place for each of its images.
        """
        pictures = [self._prepared(some) for some in images]
        texts = [self._text(turns) for turns in questions]
        for text, some in zip(texts, pictures, strict=True):
            self._check(text, some)
        settings: dict[str, object] = {"padding": True, "return_tensors": "pt"}
        if self.family.chat:
            bos = self.tokenizer.bos_token
            # Where the template writes it, the tokenizer would write it again.
            settings["add_special_tokens"] = not (bos and texts[0].startswith(bos))
            inputs = self.processor(text=texts, images=pictures, **settings)
        else:
            flat = [some[0] for some in pictures]
            inputs = self.processor(text=texts, images=flat, **settings)
        # PaliGemma's are all -100, of which a loss would be NaN.
        inputs.pop("labels", None)
        return inputs

    def _prepared(self, images: Sequence[np.ndarray]) -> list[Image.Image]:
        return [self.family.prepare(Image.fromarray(image)) for image in images]

    def _text(self, turns: Turns) -> str:
        """The prompt in words, with the family's marks of images."""
        if not self.family.chat:
            return turns[-1][0]
        messages: list[Part] = []
        for prompt, answer in turns:
            messages.append({"role": "user", "content": parts_of(prompt)})
            if answer:
                part = {"type": "text", "text": answer}
                messages.append({"role": "assistant", "content": [part]})
        if not getattr(self.processor, "chat_template", None):
            raise InputError(
                f"the processor of this {self.family.name} model has no chat template, so it cannot be asked; "
                "put its chat_template.jinja into the model's folder"
            )
        text = self.processor.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return str(text)

    def _check(self, text: str, images: Sequence[Image.Image]) -> None:
        # The processor counts over the whole batch: one too many here and one too few there would pass it.
        if not self.family.chat:
            marks, there = len(images), 1
        else:
            marks, there = text.count(self._image_mark()), len(images)
        if marks != there:
            raise InputError(
                f"a prompt of {self.family.name} has {marks} places for {there} images: {text[:200]!r}"
            )

    def _image_mark(self) -> str:
        """What stands for an image in a prompt, before it is made as long as the image."""
        begin = getattr(self.processor, "boi_token", None)  # Gemma's
        mark = begin or getattr(self.processor, "image_token", "<image>")
        return str(getattr(mark, "content", mark))

    def _new(self, ids: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        """What was generated: without the prompt, or without the first token of a decoder of its own."""
        if self.model.config.is_encoder_decoder:
            return ids[:, 1:]
        length = prompt.shape[1]
        return ids[:, length:] if torch.equal(ids[:, :length], prompt) else ids

    def _decode(self, ids: torch.Tensor) -> str:
        """The text of an answer up to its end."""
        ends = self.model.generation_config.eos_token_id
        ends = {*(ends if isinstance(ends, list) else [ends]), self.tokenizer.eos_token_id}
        kept = []
        for number in ids.tolist():
            if number in ends:
                break
            kept.append(number)
        return str(self.tokenizer.decode(kept, skip_special_tokens=False))


def parts_of(prompt: str) -> list[Part]:
    """A prompt as parts of a message: `<image> Where is it?` -> an image and a text."""
    parts: list[Part] = []
    for index, text in enumerate(prompt.split("<image>")):
        if index:
            parts.append({"type": "image"})
        if text.strip():
            parts.append({"type": "text", "text": text.strip()})
    return parts


def load_model(where: str, device: str, dtype: str) -> HuggingFaceModel:
    """A model, its processor and its adapter.

    Args:
        where: a folder, or a name on the Hugging Face hub.
        device: such as `cpu` or `cuda`; `auto`: a GPU if there is one.
        dtype: of the weights, such as `bfloat16`; `auto`: as they are saved.

    Raises:
        InputError: there is no such model, or no adapter for it, or its processor needs torchvision.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    try:
        config = AutoConfig.from_pretrained(where)
    except (OSError, ValueError) as error:
        raise InputError(f"--model {where} is no model of transformers: {error}") from error
    adapter = family_of(config.model_type)
    processor = load_processor(where, adapter)
    try:
        weights: Any = AutoModelForImageTextToText.from_pretrained(where, dtype=dtype)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--model {where} cannot be loaded: {reason}") from error
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return HuggingFaceModel(weights.to(device), processor, adapter(processor))


def load_processor(where: str | Path, adapter: type[Family]) -> Any:
    """The processor of a model.

    Raises:
        InputError: it cannot be made; says so where torchvision is what it lacks.
    """
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(where)
    except (ImportError, AttributeError, OSError, ValueError) as error:
        if find_spec("torchvision") is None and not isinstance(error, OSError):
            raise InputError(
                f"the processor of {adapter.name} needs torchvision, which is not installed: "
                "pip install 'vistallm[others]'"
            ) from error
        raise InputError(f"the processor of {where} cannot be made: {error}") from error
