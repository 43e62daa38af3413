"""The size `smol` on stand-ins of the same layouts: a GGUF, a pickle under other names, a BERT; trained, exported."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    EfficientNetConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from examples import smol_weights
from tests.models.families import family_config
from tests.models.test_encoder import EFFICIENT
from tests.tiny import ROOT, run, tokenizer
from tests.tokens.families import CHATML, CONTROL, save_family
from vista.models.encoder import build_encoder
from vista.models.towers import width_of
from vista.tokens.tokenizer import Tokenizer

# Of EfficientNet-Lite0 (its makers' table): expansion, kernel, stride, channels out, layers.
STAGES = [
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
]  # fmt: skip
BLOCKS: list[tuple[int, int, int, int, int]] = []  # expansion, kernel, stride, channels in, out
for expansion, kernel, stride, out, layers in STAGES:
    for layer in range(layers):
        before = BLOCKS[-1][-1] if BLOCKS else 32
        BLOCKS.append((expansion, kernel, 1 if layer else stride, before, out))


def makers_state() -> dict[str, Tensor]:
    """Random weights under the names of its makers' file."""
    draw = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def conv(name: str, out: int, inside: int, kernel: int = 1) -> None:
        size = (out, inside, kernel, kernel)
        scale = (2 / (inside * kernel**2)) ** 0.5
        state[f"{name}.weight"] = scale * torch.randn(size, generator=draw)

    def norm(name: str, width: int) -> None:
        for key, low in (
            ("weight", 0.8),
            ("bias", -0.2),
            ("running_mean", -0.2),
            ("running_var", 0.8),
        ):
            state[f"{name}.{key}"] = low + 0.4 * torch.rand(width, generator=draw)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("_conv_stem", 32, 3, 3)
    norm("_bn0", 32)
    for number, (expansion, kernel, _, inside, out) in enumerate(BLOCKS):
        block, wide = f"_blocks.{number}", inside * expansion
        if expansion > 1:
            conv(f"{block}._expand_conv", wide, inside)
            norm(f"{block}._bn0", wide)
        conv(f"{block}._depthwise_conv", wide, 1, kernel)
        norm(f"{block}._bn1", wide)
        conv(f"{block}._project_conv", out, wide)
        norm(f"{block}._bn2", out)
    conv("_conv_head", 1280, 320)
    norm("_bn1", 1280)
    state |= {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    return state


def features(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The last feature map, from its makers' description: padding as TensorFlow has it, and no gates."""

    def conv(x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        lacking = (math.ceil(x.shape[-1] / stride) - 1) * stride + weight.shape[-1] - x.shape[-1]
        first, last = max(lacking, 0) // 2, max(lacking, 0) - max(lacking, 0) // 2
        return F.conv2d(F.pad(x, (first, last, first, last)), weight, None, stride, groups=groups)

    def norm(x: Tensor, name: str) -> Tensor:
        own = [state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *own, eps=1e-3)

    x = F.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    for number, (expansion, _, stride, inside, out) in enumerate(BLOCKS):
        block, begun = f"_blocks.{number}", x
        if expansion > 1:
            x = F.relu6(norm(conv(x, f"{block}._expand_conv"), f"{block}._bn0"))
        x = conv(x, f"{block}._depthwise_conv", stride, inside * expansion)
        x = F.relu6(norm(x, f"{block}._bn1"))
        x = norm(conv(x, f"{block}._project_conv"), f"{block}._bn2")
        if stride == 1 and inside == out:
            x = x + begun
    return F.relu6(norm(conv(x, "_conv_head"), "_bn1"))


@torch.no_grad()
def test_the_encoder_is_what_its_makers_describe(tmp_path: Path) -> None:
    state = makers_state()
    torch.save(state, tmp_path / "lite0.pth")
    smol_weights.write_lite0(tmp_path / "lite0.pth", tmp_path / "lite0")
    tower = build_encoder(weights=tmp_path / "lite0", image_size=64)
    assert tower.config.pixels["mean"] == [127 / 255] * 3 and width_of(tower) == 1280
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected = features(state, pixels).flatten(2).mT  # (2, 4, 1280)
    expected = F.layer_norm(expected, (1280,))
    found = tower(pixel_values=pixels).last_hidden_state
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def write_gguf(llm: LlamaForCausalLM, words: Path, file: Path) -> None:
    """A LLaMA as llama.cpp keeps it, with the tokenizer of a folder."""
    gguf = pytest.importorskip("gguf")
    config, writer = llm.config, gguf.GGUFWriter(file, "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    fast = PreTrainedTokenizerFast.from_pretrained(words)
    vocabulary = fast.get_vocab()
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    model = json.loads((words / "tokenizer.json").read_text())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in CONTROL["smollm2"] else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(vocabulary["<|im_start|>"])
    writer.add_eos_token_id(vocabulary["<|im_end|>"])
    writer.add_pad_token_id(vocabulary["<|im_end|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)
    for name, tensor in llm.state_dict().items():
        if name != "lm_head.weight":
            writer.add_tensor(*as_gguf(name, tensor, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "model.layers": "blk", "mlp.": "ffn_",
    "self_attn.o_proj": "attn_output", "self_attn.": "attn_", "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm", "_proj": "",
}  # fmt: skip


def as_gguf(name: str, tensor: Tensor, config: Any) -> tuple[str, Any]:
    """A weight by llama.cpp's name; it turns pairs of neighbours, transformers turns the halves of a head."""
    heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}
    for kind, count in heads.items():
        if f"self_attn.{kind}_proj" in name:
            halves = tensor.unflatten(0, (count, 2, -1))  # (heads, 2, half, D)
            tensor = halves.transpose(1, 2).reshape(tensor.shape)
    for theirs, own in GGUF_NAMES.items():
        name = name.replace(theirs, own)
    return name, tensor.contiguous().numpy()


def small_llm(size: int) -> LlamaForCausalLM:
    """Two layers of SmolLM2's kind."""
    config = family_config("smollm2", size)
    config.max_position_embeddings = 2048
    torch.manual_seed(0)
    llm = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in llm.parameters():
            parameter.normal_(std=0.3) if parameter.ndim > 1 else parameter.add_(0.1)
    return llm


@torch.no_grad()
def test_a_gguf_becomes_a_folder_that_needs_no_gguf(tmp_path: Path) -> None:
    """The same logits, the same ids; and it can be saved again, as a model that counts as quantized cannot."""
    save_family("smollm2", tmp_path / "words")
    words = Tokenizer(tmp_path / "words")
    llm = small_llm(PreTrainedTokenizerFast.from_pretrained(tmp_path / "words").vocab_size + 3)
    write_gguf(llm, tmp_path / "words", tmp_path / "small.gguf")
    smol_weights.write_llm(tmp_path / "small.gguf", tmp_path / "llm")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "llm").eval()
    ids = torch.arange(5, 25)[None]
    torch.testing.assert_close(again(ids).logits, llm(ids).logits, atol=1e-4, rtol=1e-4)
    again.half().save_pretrained(tmp_path / "again")
    config = AutoConfig.from_pretrained(tmp_path / "llm")
    assert config.tie_word_embeddings and config.rope_parameters["rope_theta"] == 500000.0
    ours = Tokenizer(tmp_path / "llm")
    for text in ("the red circle at [12, 345].\n\n1. two", "<|im_start|>user"):
        assert ours.encode(text) == words.encode(text)
    assert ours.eos_id == words.eos_id == ours.pad_id


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """What examples/smol_weights.py leaves, but small."""
    root = tmp_path / "checkpoints/smol"
    llm = save_family("smollm2", root / "smollm2")
    small_llm(len(PreTrainedTokenizerFast.from_pretrained(llm))).save_pretrained(llm)
    kind = EfficientNetConfig(**EFFICIENT, squeeze_expansion_ratio=0.0, hidden_act="relu6")
    (root / "lite0").mkdir()
    (root / "lite0/config.json").write_text(kind.to_json_string())
    torch.manual_seed(0)
    tower = build_encoder(architecture=root / "lite0")
    save_file(tower.state_dict(), root / "lite0/model.safetensors")
    (root / "lite0/preprocessor_config.json").write_text(json.dumps(smol_weights.LITE0_PIXELS))
    size = {
        "hidden_size": 32,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
    }
    BertModel(BertConfig(**size, vocab_size=len(tokenizer()))).save_pretrained(root / "minilm")
    words = tokenizer().fast.backend_tokenizer.from_str(tokenizer().fast.backend_tokenizer.to_str())
    words.enable_truncation(8)  # as MiniLM's, which both do at 128
    words.enable_padding(length=8)
    words.save(str(root / "minilm/tokenizer.json"))
    return root


def test_the_config_trains_exports_and_answers(
    checkpoints: Path, tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way; the exported folder answers as the checkpoint."""
    monkeypatch.chdir(tmp_path)
    few = [
        "--encoder.image_size=64", "--qformer.num_queries=4", "--data.tasks=[caption,rec,vqav2]", "--data.batch_size=4",
        "--data.order.epoch_samples=16", "--data.num_workers=0", "--trainer.max_epochs=1", "--data.scoring.max_val=2",
        "--trainer.accelerator=cpu", f"--data.root={tiny_world}",
    ]  # fmt: skip
    outcome = run(
        "fit", "--config", "stage1", "--config", "smol", "--config", "world", *few, "--name=smol"
    )
    assert outcome.code == 0, outcome.err
    for part in ("lite0", "minilm", "smollm2"):
        assert f"tensors of {checkpoints.relative_to(tmp_path) / part}" in outcome.out
    assert "since a BERT has no cross-attention" in outcome.out
    outcome = run("export", "--ckpt_path", "runs/smol", "--out", "exported", "--dtype", "float32")
    assert outcome.code == 0, outcome.err
    image = next((tiny_world / "coco/val2017").iterdir())
    for task, text in (("rec", "the red circle"), ("caption", "")):
        asked = ["predict", "--task", task, "--text", text, "--images", image, "--out=a.png"]
        answers = [run(*asked, "--ckpt_path", path) for path in ("runs/smol", "exported")]
        assert answers[0].code == 0, answers[0].err
        assert answers[0].out.splitlines()[-1] == answers[1].out.splitlines()[-1]


def test_sums_are_of_every_package() -> None:
    assert all(len(digest) == 64 and "==" in name for name, digest in smol_weights.PACKAGES.items())
    assert (ROOT / "examples/smol_weights.py").is_file()
