"""Parts out of checkpoints of others: LAVIS's BLIP-2 and InstructBLIP, EVA-CLIP, a BERT; pickles and indices."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertModel,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    PreTrainedModel,
)

from tests.tiny import QUERIES, tokenizer
from vista.data import InputError, MissingFileError
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.weights import load_part, load_queries

SIZES = {"hidden_size": 32, "num_heads": 2, "mlp_size": 32}
VISION = {  # ours -> LAVIS's, in a layer
    "self_attn.projection": "attn.proj", "self_attn.qkv": "attn.qkv", "layer_norm": "norm", "mlp": "mlp",
}  # fmt: skip


def encoder(layers: int = 1, weights: Path | None = None) -> PreTrainedModel:
    torch.manual_seed(3)
    return build_encoder(image_size=32, num_layers=layers, weights=weights, **SIZES)


def qformer(weights: Path | None = None, layers: int = 2, every: int = 2) -> QFormer:
    torch.manual_seed(4)
    return QFormer(
        QUERIES, num_layers=layers, encoder_hidden_size=24, vocab_size=len(tokenizer()), cross_attention_every=every,
        weights=weights, **SIZES,
    )  # fmt: skip


def noisy(part):
    """Every weight a number of its own, biases too."""
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.normal_()
    return part


def eva_names(part: PreTrainedModel, prefix: str = "") -> dict[str, torch.Tensor]:
    """An encoder's state as EVA-CLIP keeps it, written down from its layout."""
    state = {}
    for name, tensor in part.state_dict().items():
        name = name.replace("embeddings.class_embedding", "cls_token")
        name = name.replace("embeddings.position_embedding", "pos_embed")
        name = name.replace("embeddings.patch_embedding", "patch_embed.proj")
        name = name.replace("encoder.layers", "blocks")
        for ours, theirs in VISION.items():
            name = name.replace(ours, theirs)
        if name.endswith("qkv.bias"):
            query, key, value = tensor.chunk(3)
            key.zero_()  # in ours, too: EVA-CLIP's keys have none
            state[prefix + name.replace("qkv.bias", "q_bias")] = query.clone()
            state[prefix + name.replace("qkv.bias", "v_bias")] = value.clone()
        elif name.startswith("post_layernorm"):
            state[name.replace("post_layernorm", "ln_vision")] = tensor.clone()
        else:
            state[prefix + name] = tensor.clone()
    return state


def lavis_names(part: QFormer) -> dict[str, torch.Tensor]:
    state = {}
    for name, tensor in part.state_dict().items():
        name = name.replace("attention.attention", "attention.self")
        name = name.replace("embeddings.layernorm", "embeddings.LayerNorm")
        state[f"Qformer.bert.{name}"] = tensor.clone()
    return state


def assert_same(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    expected = theirs.state_dict()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_all_parts_of_a_checkpoint_of_lavis(tmp_path):
    vision, text = noisy(encoder()), noisy(qformer())
    projection, queries = noisy(torch.nn.Linear(32, 48)), torch.randn(1, QUERIES, 32)
    state = {**eva_names(vision, "visual_encoder."), **lavis_names(text), "query_tokens": queries}
    state |= {f"llm_proj.{name}": t for name, t in projection.state_dict().items()}
    state["Qformer.cls.predictions.bias"] = torch.zeros(3)
    path = tmp_path / "instruct_blip.pth"
    torch.save({"model": state, "epoch": 3}, path)
    assert_same(encoder(weights=path), vision)
    assert_same(qformer(weights=path), text)
    own = torch.nn.Linear(32, 48)
    load_part(own, path, "language_projection.")
    assert_same(own, projection)
    tokens = torch.nn.Parameter(torch.zeros(1, QUERIES, 32))
    load_queries(tokens, path)
    assert torch.equal(tokens, queries)


def test_eva_clip_by_itself_has_no_last_norm_and_a_layer_more(tmp_path):
    whole = noisy(encoder(layers=40))
    state = {name: t for name, t in eva_names(whole).items() if "ln_vision" not in name}
    state |= {"norm.weight": torch.ones(32), "head.weight": torch.ones(5, 32)}
    torch.save(state, tmp_path / "eva_vit_g.pth")
    part = encoder(layers=39, weights=tmp_path / "eva_vit_g.pth")
    for name, tensor in part.state_dict().items():
        if name.startswith("post_layernorm"):
            assert tensor.unique().tolist() == [float(name.endswith("weight"))]
        else:
            assert torch.equal(tensor, whole.state_dict()[name])
    report = part.filling.report
    assert "new: post_layernorm.weight, post_layernorm.bias, since EVA-CLIP has no norm" in report
    assert "2 of EVA-CLIP's head" in report and "EVA-CLIP's last layer" in report
    with pytest.raises(InputError, match="38"):  # another layer is not left out
        encoder(layers=38, weights=tmp_path / "eva_vit_g.pth")


@pytest.mark.parametrize("first_release", [False, True])
def test_a_bert_becomes_a_qformer(tmp_path, first_release):
    config = BertConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    bert = noisy(BertModel(config))
    state = {name: t.clone() for name, t in bert.state_dict().items()}
    if first_release:  # names of 2018
        renamed = {n.replace("LayerNorm.weight", "LayerNorm.gamma"): t for n, t in state.items()}
        state = {
            f"bert.{n.replace('LayerNorm.bias', 'LayerNorm.beta')}": t for n, t in renamed.items()
        }
        state["cls.predictions.bias"] = torch.zeros(300)
    save_file(state, tmp_path / "model.safetensors")
    config.save_pretrained(tmp_path)
    part, theirs = qformer(tmp_path), bert.state_dict()
    for i in range(2):
        layer, name = part.encoder.layer[i], f"encoder.layer.{i}."
        assert torch.equal(
            layer.attention.attention.query.weight, theirs[f"{name}attention.self.query.weight"]
        )
        assert torch.equal(
            layer.attention.output.LayerNorm.bias, theirs[f"{name}attention.output.LayerNorm.bias"]
        )
        for half in ("intermediate", "output"):
            expected = theirs[f"{name}{half}.dense.weight"]
            assert torch.equal(getattr(layer, half).dense.weight, expected)
            assert torch.equal(getattr(layer, f"{half}_query").dense.weight, expected)
        assert torch.equal(
            layer.output_query.LayerNorm.bias, theirs[f"{name}output.LayerNorm.bias"]
        )
    assert torch.equal(part.embeddings.layernorm.weight, theirs["embeddings.LayerNorm.weight"])
    assert torch.equal(
        part.embeddings.word_embeddings.weight[:300], theirs["embeddings.word_embeddings.weight"]
    )
    cross = part.encoder.layer[0].crossattention
    assert cross.attention.key.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not cross.attention.key.bias.any() and cross.output.LayerNorm.weight.eq(1).all()
    assert "since a BERT has no cross-attention" in part.filling.report
    assert f"{3 + first_release} of a BERT's heads" in part.filling.report


def test_a_bert_of_other_sizes_is_refused(tmp_path):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=300, num_attention_heads=4, **sizes)
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(
        InputError, match=r"num_attention_heads is 4 there and --qformer\.num_heads"
    ):
        qformer(tmp_path)


def test_the_config_of_a_bert_says_the_sizes_of_its_qformer(tmp_path):
    """But how often it looks at the image, of which a BERT knows nothing."""
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
    bert = BertModel(BertConfig(vocab_size=300, num_hidden_layers=2, **sizes, layer_norm_eps=1e-6))
    bert.save_pretrained(tmp_path)
    settings = {"encoder_hidden_size": 24, "vocab_size": 300}
    part = QFormer(QUERIES, cross_attention_every=2, weights=tmp_path, **settings)
    assert part.config.layer_norm_eps == 1e-6 and part.config.num_attention_heads == 4
    assert [layer.has_cross_attention for layer in part.encoder.layer] == [True, False]
    read = part.encoder.layer[0].attention.attention.query.weight
    assert torch.equal(read, bert.encoder.layer[0].attention.self.query.weight)
    drawn = QFormer(QUERIES, architecture=tmp_path, **settings)
    assert len(drawn.encoder.layer) == 2 and not hasattr(drawn, "filling")


def llm(weights: Path | None = None, layers: int = 2) -> PreTrainedModel:
    torch.manual_seed(5)
    return build_llm(len(tokenizer()), num_layers=layers, weights=weights, **SIZES)


@pytest.mark.parametrize("old", [False, True])
def test_pickles_of_tensors(tmp_path, old):
    """In one file or many, of today or from before 2020."""
    own = llm()
    state = {n: t for n, t in own.state_dict().items() if n != "lm_head.weight"}
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=not old)
    assert_same(llm(tmp_path), own)
    (tmp_path / "pytorch_model.bin").unlink()
    names, files = sorted(state), {}
    for i in range(2):
        file = f"pytorch_model-{i + 1:05d}-of-00002.bin"
        torch.save({n: state[n] for n in names[i::2]}, tmp_path / file)
        files |= dict.fromkeys(names[i::2], file)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": files}))
    assert_same(llm(tmp_path), own)


def test_a_pickle_of_more_than_tensors_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"model.norm.weight": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(
        InputError, match=r"pytorch_model\.bin is damaged, or holds more than tensors"
    ):
        llm(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_an_index_says_which_files_there_must_be(tmp_path):
    own = llm()
    state = {n: t for n, t in own.state_dict().items() if n != "lm_head.weight"}
    save_file(state, tmp_path / "a.safetensors")
    save_file(
        {"model.norm.weight": torch.zeros(1)}, tmp_path / "consolidated.safetensors"
    )  # of another library
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(state, "a.safetensors")}))
    assert_same(llm(tmp_path), own)
    index.write_text(
        json.dumps({"weight_map": {**dict.fromkeys(state, "a.safetensors"), "x": "b.safetensors"}})
    )
    with pytest.raises(MissingFileError, match=r"lacks b\.safetensors, which its index names"):
        llm(tmp_path)


def test_holes_and_what_is_left_over_are_named(tmp_path):
    own = llm()
    state = {n: t for n, t in own.state_dict().items() if n != "lm_head.weight"}
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    save_file(state, tmp_path / "model.safetensors")
    report = llm(tmp_path).filling.report
    assert report == f"20 tensors of {tmp_path}; left over: 1 of constants of older libraries"
    for name in ("model.norm.weight", "model.layers.1.mlp.up_proj.weight"):
        del state[name]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(InputError) as error:
        llm(tmp_path)
    assert "model.norm.weight" in str(error.value) and "model.layers.1.mlp.up_proj" in str(
        error.value
    )


VICUNA = {"7b": (4096, 32, 32, 11008), "13b": (5120, 40, 40, 13824)}


@pytest.mark.parametrize("size", VICUNA)
def test_every_parameter_of_instructblip_has_its_place(size):
    """Names and shapes, against transformers' own class, without memory."""
    width, layers, heads, mlp = VICUNA[size]
    text = {
        "model_type": "llama", "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": mlp, "vocab_size": 32000,
    }  # fmt: skip
    with torch.device("meta"):
        theirs = InstructBlipForConditionalGeneration(
            InstructBlipConfig(text_config=text, qformer_config={"vocab_size": 30523})
        )
        parts = {
            "vision_model": build_encoder(224, 14, 1408, 39, 16, 6144),
            "qformer": QFormer(
                32,
                768,
                12,
                12,
                3072,
                cross_attention_every=2,
                encoder_hidden_size=1408,
                vocab_size=30523,
            ),
            "language_model": build_llm(32000, width, layers, heads, mlp, tie_embeddings=False),
            "language_projection": torch.nn.Linear(768, width),
        }
    ours = {
        f"{prefix}.{name}": tuple(tensor.shape)
        for prefix, part in parts.items()
        for name, tensor in part.state_dict().items()
    }
    ours["query_tokens"] = (1, 32, 768)
    assert ours == {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
