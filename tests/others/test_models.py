"""Models of transformers with random weights: what their processors do to a batch, and what is done about it."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing

from tests.others.tiny_models import FAMILIES, LACKING, tiny
from vista.data import InputError, Turns
from vista.others.families.llava import Llava
from vista.others.huggingface import HuggingFaceModel, load_model

SEVERAL = (
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "internvl",
    "llava_onevision",
    "gemma3",
    pytest.param("molmo2", marks=LACKING),
)


@pytest.fixture(scope="module")
def model_of() -> Callable[[str], HuggingFaceModel]:
    made: dict[str, HuggingFaceModel] = {}

    def get(model_type: str) -> HuggingFaceModel:
        if model_type not in made:
            made[model_type] = tiny(model_type)
        return made[model_type]

    return get


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def asked(model_type: str, text: str, images: int = 1) -> Turns:
    if model_type == "florence2":
        return ((f"<OPEN_VOCABULARY_DETECTION>{text}", ""),)
    marks = "" if model_type in ("kosmos-2", "instructblip") else "<image>" * images
    return ((marks + text, ""),)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_an_answer_is_the_same_alone_and_beside_a_longer_question(
    model_type: str, model_of: Callable[[str], HuggingFaceModel]
) -> None:
    model = model_of(model_type)
    questions = [asked(model_type, "a very long description of a cat"), asked(model_type, "dog")]
    images = [[picture(0)], [picture(1, 64, 100)]]
    alone = []
    for question, some in zip(questions, images, strict=True):
        alone += model.answer([question], [some], 6)
    assert model.answer(questions, images, 6) == alone


@pytest.mark.parametrize(
    "model_type", [name for name in FAMILIES if name not in ("kosmos-2", "instructblip")]
)
def test_pads_stand_on_the_left(
    model_type: str, model_of: Callable[[str], HuggingFaceModel]
) -> None:
    model = model_of(model_type)
    questions = [asked(model_type, "a very long description of a cat"), asked(model_type, "dog")]
    inputs = model.inputs(questions, [[picture(0)], [picture(0)]])
    mask = inputs["attention_mask"]
    assert mask[1, 0] == 0 and mask[:, -1].all()
    assert (inputs["input_ids"][1] == model.tokenizer.pad_token_id).sum() == (mask[1] == 0).sum()


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_batch_has_pixels_and_no_labels(
    model_type: str, model_of: Callable[[str], HuggingFaceModel]
) -> None:
    inputs = model_of(model_type).inputs([asked(model_type, "dog")], [[picture(0)]])
    assert torch.is_floating_point(inputs["pixel_values"])
    assert "labels" not in inputs  # all -100 in PaliGemma's, whose loss is NaN


@pytest.mark.parametrize("model_type", SEVERAL)
def test_each_question_gets_its_own_images(
    model_type: str, model_of: Callable[[str], HuggingFaceModel]
) -> None:
    model = model_of(model_type)
    questions = [asked(model_type, "cat", 1), asked(model_type, "dog", 2)]
    images = [[picture(0)], [picture(1), picture(2)]]
    alone = []
    for question, some in zip(questions, images, strict=True):
        alone += model.answer([question], [some], 6)
    assert model.answer(questions, images, 6) == alone
    # Three places for three images in the whole: the processor would hand them over crosswise.
    with pytest.raises(InputError, match="2 places for 1 images"):
        model.answer([asked(model_type, "cat", 2), asked(model_type, "dog", 1)], images, 6)


@pytest.mark.parametrize("model_type", SEVERAL)
def test_a_question_with_a_mark_of_the_family_is_refused_by_its_number(
    model_type: str, model_of: Callable[[str], HuggingFaceModel]
) -> None:
    model = model_of(model_type)
    mark = model._image_mark()
    with pytest.raises(InputError, match="2 places for 1 images"):
        model.answer([asked(model_type, f"what is {mark}?")], [[picture(0)]], 6)


class Fixed(torch.nn.Module):
    """Generates given ids behind the prompt, or without it."""

    def __init__(self, of: HuggingFaceModel, ids: list[int]) -> None:
        super().__init__()
        self.config, self.generation_config = of.model.config, of.model.generation_config
        self.device, self.dtype, self.ids = torch.device("cpu"), torch.float32, ids

    def generate(self, input_ids: torch.Tensor, **settings: object) -> torch.Tensor:
        new = torch.tensor([self.ids])
        return new if self.config.is_encoder_decoder else torch.cat([input_ids, new], dim=1)


def said(model: HuggingFaceModel, model_type: str, text: str) -> str:
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    end, begin = model.tokenizer.eos_token_id, model.tokenizer.bos_token_id
    # BART's decoder begins with the token that ends an answer.
    ids = [end, begin, *ids] if model_type == "florence2" else ids
    other = HuggingFaceModel(Fixed(model, [*ids, end, *ids]), model.processor, model.family)
    return other.answer([asked(model_type, "dog")], [[picture(0)]], 6)[0]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_an_answer_keeps_its_places_and_is_cut_at_its_end(
    model_type: str, model_of: Callable[[str], HuggingFaceModel]
) -> None:
    model = model_of(model_type)
    size, box = (480, 640), (64.0, 120.0, 320.0, 360.0)
    if model_type == "molmo2":
        raw = said(model, model_type, model.family.write_points([box[:2]], size, "é"))  # type: ignore[attr-defined]
        assert model.family.read_points(raw, size) == [box[:2]]
        return
    raw = said(model, model_type, model.family.write_boxes([box], size, "é"))
    (read,) = model.family.read_boxes(raw, size) or []
    assert read == pytest.approx(box, abs=16)


def test_no_token_at_the_start_stands_twice() -> None:
    model = tiny("gemma3")
    begin = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    model.tokenizer.backend_tokenizer.post_processor = begin
    model.processor.chat_template = "<s>" + model.processor.chat_template
    ids = model.inputs([asked("gemma3", "dog")], [[picture(0)]])["input_ids"][0]
    assert (ids == model.tokenizer.bos_token_id).sum() == 1


def test_all_turns_and_parts_are_asked(model_of: Callable[[str], HuggingFaceModel]) -> None:
    model = model_of("qwen2_vl")
    turns = (("<image> What is it?", "A cat."), ("And what else?", ""))
    ids = model.inputs([turns], [[picture(0)]])["input_ids"][0]
    text = model.tokenizer.decode(ids)
    for words in ("What is it?", "A cat.", "And what else?", "<assistant>"):
        assert words in text
    assert text.endswith("<assistant>")


def test_llava_sees_the_edges_of_a_wide_image(model_of: Callable[[str], HuggingFaceModel]) -> None:
    model = model_of("llava")
    images = model.processor.image_processor
    assert images.do_center_crop and not model.cuts_images
    plain = np.zeros((40, 160, 3), dtype=np.uint8)
    edge = plain.copy()
    edge[:, :20] = 255  # the middle quarter of it is as before
    pixels = [
        model.inputs([asked("llava", "dog")], [[image]])["pixel_values"] for image in (plain, edge)
    ]
    assert not torch.equal(*pixels)
    # Without the padding the processor cuts it away.
    cut = [images(image, return_tensors="pt")["pixel_values"] for image in (plain, edge)]
    assert torch.equal(*cut)


def test_a_processor_that_cuts_is_noticed() -> None:
    model = tiny("florence2")
    assert not model.cuts_images
    model.processor.image_processor.do_center_crop = True
    assert not model.cuts_images  # a square of the whole
    model.processor.image_processor.size = {"shortest_edge": 64}
    assert model.cuts_images


def test_qwen_counts_pixels_of_the_resized_image(
    model_of: Callable[[str], HuggingFaceModel],
) -> None:
    model = model_of("qwen2_5_vl")
    for height, width in ((48, 64), (100, 30), (200, 50)):
        grid = model.inputs([asked("qwen2_5_vl", "dog")], [[picture(0, height, width)]])[
            "image_grid_thw"
        ][0]
        resized = model.family.resized((height, width))  # type: ignore[attr-defined]
        assert resized == (14 * int(grid[1]), 14 * int(grid[2]))


def save(model_type: str, folder: Path) -> Path:
    model = tiny(model_type)
    model.model.save_pretrained(folder)
    model.processor.save_pretrained(folder)
    return folder


def test_a_saved_model_is_loaded_by_its_model_type(tmp_path: Path) -> None:
    model = load_model(str(save("llava", tmp_path)), "cpu", "auto")
    assert isinstance(model.family, Llava)
    question, images = [asked("llava", "dog")], [[picture(0)]]
    assert model.answer(question, images, 6) == tiny("llava").answer(question, images, 6)


def test_a_processor_without_torchvision_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr("vista.others.huggingface.find_spec", lambda name: None)

    def fails(*args: object, **kwargs: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'VIDEO_PROCESSOR_MAPPING'")

    save("llava", tmp_path)
    monkeypatch.setattr("transformers.AutoProcessor.from_pretrained", fails)
    with pytest.raises(InputError, match=r"needs torchvision.*pip install 'vistallm\[others\]'"):
        load_model(str(tmp_path), "cpu", "auto")


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no model of transformers"):
        load_model(str(tmp_path / "none"), "cpu", "auto")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="no adapter for the model type 'bert'"):
        load_model(str(tmp_path), "cpu", "auto")
