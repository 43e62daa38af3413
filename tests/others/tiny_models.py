"""A model of each family with random weights and a processor made here: no network, a few thousand parameters."""

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

from vista.others.family import family_of
from vista.others.huggingface import HuggingFaceModel

CHAT = (
    "{% for m in messages %}<{{ m.role }}>{% for p in m.content %}{% if p.type == 'image' %}IMAGE{% else %}{{ p.text }}"
    "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
TEXT = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096,
}  # fmt: skip
VISION = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 56,
    "patch_size": 14,
}  # fmt: skip
PINPOINTS = [[56, 56], [56, 112]]


def tokenizer(*special: str, padding_side: str = "right", **named: str) -> PreTrainedTokenizerFast:
    """Bytes, and special tokens; pads stand on the right, as most files say."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<pad>", "<s>", "</s>", "<unk>", *alphabet]
    backend = Tokenizer(models.BPE({word: k for k, word in enumerate(words)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        padding_side=padding_side, extra_special_tokens=named,
    )  # fmt: skip
    made.add_special_tokens(
        {"additional_special_tokens": list(special)}, replace_extra_special_tokens=False
    )
    return made


def without_video(kind: type) -> type:
    """A processor that is made without its video part, which only torchvision makes."""

    def check(self: Any, name: str, argument: Any) -> Any:
        return (
            None
            if name == "video_processor"
            else kind.check_argument_for_proper_class(self, name, argument)
        )

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})


def qwen2_vl() -> tuple[Any, Any]:
    return _qwen("qwen2_vl", 14)


def qwen2_5_vl() -> tuple[Any, Any]:
    return _qwen("qwen2_5_vl", 14)


def qwen3_vl() -> tuple[Any, Any]:
    return _qwen("qwen3_vl", 16)


def _qwen(model_type: str, patch: int) -> tuple[Any, Any]:
    from transformers import CONFIG_MAPPING, Qwen2_5_VLProcessor, Qwen2VLProcessor, Qwen3VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    words = tokenizer(
        "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|box_start|>", "<|box_end|>",
        "<|object_ref_start|>", "<|object_ref_end|>", "<|im_end|>",
    )  # fmt: skip
    kind = {
        "qwen2_vl": Qwen2VLProcessor,
        "qwen2_5_vl": Qwen2_5_VLProcessor,
        "qwen3_vl": Qwen3VLProcessor,
    }[model_type]
    area = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16}
    images = Qwen2VLImageProcessorPil(patch_size=patch, size=area)
    template = CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    processor = without_video(kind)(images, words, None, chat_template=template)
    rope = {
        "rope_type": "default",
        "rope_theta": 1e4,
        "mrope_section": [2, 3, 3],
        "mrope_interleaved": True,
    }
    ids = words.convert_tokens_to_ids
    vision = {
        "depth": 1,
        "num_heads": 2,
        "patch_size": patch,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
    }
    vision |= {
        "embed_dim": 32,
        "hidden_size": 32,
        "mlp_ratio": 1,
        "intermediate_size": 32,
        "out_hidden_size": 32,
    }
    vision |= {
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
        "fullatt_block_indexes": [0],
    }
    config = CONFIG_MAPPING[model_type](
        text_config=TEXT
        | {"vocab_size": len(words), "rope_parameters": rope, "eos_token_id": 2, "pad_token_id": 0},
        vision_config=vision,
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )
    return config, processor


def internvl() -> tuple[Any, Any]:
    from transformers import GotOcr2ImageProcessorPil, InternVLConfig, InternVLProcessor

    words = tokenizer(
        "<IMG_CONTEXT>", "<img>", "</img>", "<video>", "<ref>", "</ref>", "<box>", "</box>", start_image_token="<img>",
        end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>",
    )  # fmt: skip
    images = GotOcr2ImageProcessorPil(size={"height": 56, "width": 56})
    template = CHAT.replace("IMAGE", "<IMG_CONTEXT>")
    processor = without_video(InternVLProcessor)(
        images, words, None, image_seq_length=4, chat_template=template
    )
    text = TEXT | {"model_type": "qwen2", "vocab_size": len(words)}
    vision = VISION | {"image_size": [56, 56], "patch_size": [14, 14]}
    token = words.convert_tokens_to_ids("<IMG_CONTEXT>")
    config = InternVLConfig(
        text_config=text, vision_config=vision, image_token_id=token, image_seq_length=4
    )
    return config, processor


def llava() -> tuple[Any, Any]:
    from transformers import CLIPImageProcessorPil, LlavaConfig, LlavaProcessor

    words = tokenizer("<image>")
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
    )
    processor = LlavaProcessor(
        images, words, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=CHAT.replace("IMAGE", "<image>"),
    )  # fmt: skip
    config = LlavaConfig(
        text_config=TEXT | {"model_type": "llama", "vocab_size": len(words)},
        vision_config=VISION | {"model_type": "clip_vision_model"},
        image_token_id=words.convert_tokens_to_ids("<image>"), vision_feature_layer=-1,
    )  # fmt: skip
    return config, processor


def llava_onevision() -> tuple[Any, Any]:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionImageProcessorPil,
        LlavaOnevisionProcessor,
    )

    words = tokenizer("<image>", "<video>")
    images = LlavaOnevisionImageProcessorPil(
        size={"height": 56, "width": 56}, image_grid_pinpoints=[[56, 56], [56, 112]]
    )
    processor = without_video(LlavaOnevisionProcessor)(
        images, words, None, num_image_tokens=16, vision_feature_select_strategy="full",
        chat_template=CHAT.replace("IMAGE", "<image>"),
    )  # fmt: skip
    config = LlavaOnevisionConfig(
        text_config=TEXT | {"model_type": "qwen2", "vocab_size": len(words)},
        vision_config=VISION | {"model_type": "siglip_vision_model"},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        video_token_id=words.convert_tokens_to_ids("<video>"), vision_feature_layer=-1,
        image_grid_pinpoints=PINPOINTS, vision_feature_select_strategy="full",
    )  # fmt: skip
    return config, processor


def gemma3() -> tuple[Any, Any]:
    from transformers import Gemma3Config, Gemma3ImageProcessorPil, Gemma3Processor

    words = tokenizer(
        "<start_of_image>", "<end_of_image>", "<image_soft_token>", boi_token="<start_of_image>",
        eoi_token="<end_of_image>", image_token="<image_soft_token>",
    )  # fmt: skip
    images = Gemma3ImageProcessorPil(size={"height": 56, "width": 56})
    template = CHAT.replace("IMAGE", "<start_of_image>")
    processor = Gemma3Processor(images, words, chat_template=template, image_seq_length=4)
    ids = words.convert_tokens_to_ids
    config = Gemma3Config(
        text_config=TEXT | {"vocab_size": len(words), "eos_token_id": 2, "pad_token_id": 0},
        vision_config=VISION | {"model_type": "siglip_vision_model"},
        mm_tokens_per_image=4, boi_token_index=ids("<start_of_image>"), eoi_token_index=ids("<end_of_image>"),
        image_token_index=ids("<image_soft_token>"), eos_token_id=2,
    )  # fmt: skip
    return config, processor


def paligemma() -> tuple[Any, Any]:
    from transformers import PaliGemmaConfig, PaliGemmaProcessor, SiglipImageProcessorPil

    words = tokenizer("<image>", image_token="<image>")
    images = SiglipImageProcessorPil(size={"height": 56, "width": 56})
    images.image_seq_length = 16
    processor = PaliGemmaProcessor(images, words)
    config = PaliGemmaConfig(
        text_config=TEXT | {"model_type": "gemma", "vocab_size": len(words), "num_image_tokens": 16},
        vision_config=VISION | {"model_type": "siglip_vision_model", "projection_dim": 32, "vision_use_head": False},
        image_token_index=words.convert_tokens_to_ids("<image>"), projection_dim=32, hidden_size=32,
    )  # fmt: skip
    return config, processor


def florence2() -> tuple[Any, Any]:
    from transformers import CLIPImageProcessorPil, Florence2Config, Florence2Processor

    words = tokenizer(
        "<image>",
        *(f"<loc_{k}>" for k in range(1000)),
        "<sep>",
        "<poly>",
        "</poly>",
        image_token="<image>",
    )
    images = CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    images.image_seq_length = 5
    processor = Florence2Processor(images, words)
    config = Florence2Config(
        text_config={
            "model_type": "bart", "vocab_size": len(words), "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
            "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
            "max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
            "decoder_start_token_id": 2, "forced_eos_token_id": None,
        },
        vision_config={
            "depths": [1, 1, 1, 1], "embed_dim": [8, 8, 8, 8], "num_heads": [2, 2, 2, 2], "num_groups": [2, 2, 2, 2],
            "window_size": 2, "projection_dim": 32,
        },
        image_token_id=words.convert_tokens_to_ids("<image>"), is_encoder_decoder=True,
    )  # fmt: skip
    return config, processor


def kosmos2() -> tuple[Any, Any]:
    from transformers import CLIPImageProcessorPil, Kosmos2Config, Kosmos2Processor

    words = tokenizer()
    words.add_tokens([f"<image_{k}>" for k in range(4)])
    images = CLIPImageProcessorPil(
        size={"height": 56, "width": 56}, crop_size={"height": 56, "width": 56}
    )
    processor = Kosmos2Processor(images, words)
    processor.num_image_tokens = 4
    config = Kosmos2Config(
        text_config={
            "vocab_size": len(words), "embed_dim": 32, "layers": 1, "ffn_dim": 32, "attention_heads": 2,
            "eos_token_id": 2,
        },
        vision_config=VISION, latent_query_num=4,
    )  # fmt: skip
    return config, processor


def instructblip() -> tuple[Any, Any]:
    from transformers import BlipImageProcessorPil, InstructBlipConfig, InstructBlipProcessor

    words = tokenizer("<image>")
    images = BlipImageProcessorPil(size={"height": 56, "width": 56})
    processor = InstructBlipProcessor(images, words, tokenizer(), num_query_tokens=4)
    config = InstructBlipConfig(
        vision_config=VISION,
        qformer_config={
            "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "encoder_hidden_size": 32,
        },
        text_config=TEXT | {"model_type": "llama", "vocab_size": len(processor.tokenizer)},
        num_query_tokens=4, image_token_index=processor.tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    return config, processor


def molmo2() -> tuple[Any, Any]:
    """Its image processor is made with torchvision alone."""
    from transformers import Molmo2Config, Molmo2ImageProcessor, Molmo2Processor

    names = ["patch", "col", "start", "end", "low"]
    marks = [
        *(f"<im_{name}>" for name in names),
        "<low_res_im_start>",
        "<frame_start>",
        "<frame_end>",
    ]
    words = tokenizer(
        "<|image|>", "<|video|>", *marks, image_token="<|image|>", video_token="<|video|>"
    )
    images = Molmo2ImageProcessor(
        size={"height": 56, "width": 56}, max_crops=2, overlap_margins=[1, 1]
    )
    processor = without_video(Molmo2Processor)(
        images, None, words, chat_template=CHAT.replace("IMAGE", "<|image|>")
    )
    ids = words.convert_tokens_to_ids
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    sizes |= {"head_dim": 16}
    config = Molmo2Config(
        vision_config=sizes
        | {"num_hidden_layers": 2, "image_size": [56, 56], "patch_size": 14, "num_position_embeddings": 16},
        adapter_config=sizes | {"text_hidden_size": 32, "vision_feature_layer": [-1, -2]},
        text_config=TEXT | {"vocab_size": len(words), "additional_vocab_size": 16},
        image_start_token_id=ids("<im_start>"), low_res_image_start_token_id=ids("<low_res_im_start>"),
        image_end_token_id=ids("<im_end>"), image_patch_id=ids("<im_patch>"),
        frame_start_token_id=ids("<frame_start>"), frame_end_token_id=ids("<frame_end>"),
    )  # fmt: skip
    return config, processor


MAKERS = {
    "qwen2_vl": qwen2_vl, "qwen2_5_vl": qwen2_5_vl, "qwen3_vl": qwen3_vl, "internvl": internvl, "paligemma": paligemma,
    "florence2": florence2, "kosmos-2": kosmos2, "llava": llava, "llava_onevision": llava_onevision, "gemma3": gemma3,
    "instructblip": instructblip, "molmo2": molmo2,
}  # fmt: skip
LACKING = pytest.mark.skipif(
    find_spec("torchvision") is None, reason="Molmo 2's image processor needs torchvision"
)
FAMILIES = [pytest.param(name, marks=LACKING) if name == "molmo2" else name for name in MAKERS]


def tiny(model_type: str) -> HuggingFaceModel:
    """A model of random weights, the same ones each time."""
    config, processor = MAKERS[model_type]()
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config)
    return HuggingFaceModel(model, processor, family_of(model_type)(processor))
