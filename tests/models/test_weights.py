"""Parts from a checkpoint laid out as `Salesforce/instructblip-vicuna-7b`: one set of shards, bfloat16, fewer rows."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import InstructBlipConfig, LlamaConfig, LlamaForCausalLM

from tests.tiny import QUERIES, tiny_model, tokenizer
from vista.data import InputError, MissingFileError
from vista.models.config_check import unseen_settings
from vista.models.encoder import build_encoder
from vista.models.laid_out import is_laid_out, without_memory
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.weights import fill_part, load_part, load_queries, read_tensors

SIZES = {"hidden_size": 32, "num_heads": 2, "mlp_size": 32}
ROWS = 300  # of the file's embedding tables


def saved_llm(folder, with_head=False, **config):
    """A folder of transformers with a small LLM of two layers; its state."""
    own = build_llm(len(tokenizer()), num_layers=2, **SIZES)
    state = {name: tensor.detach().clone() for name, tensor in own.state_dict().items()}
    if not with_head:
        del state["lm_head.weight"]
    save_file(state, folder / "model.safetensors")
    if config:
        content = own.config.to_dict() | config
        (folder / "config.json").write_text(json.dumps(content))
    return state


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of a small model, whose tables have fewer rows than the vocabulary."""
    state = {name: t.detach().bfloat16() for name, t in tiny_model(seed=7).state_dict().items()}
    table = "language_model.model.embed_tokens.weight"
    state |= {
        table: state[table][:ROWS].clone(),
        "language_model.lm_head.weight": state[table][:ROWS].flip(0).clone(),
    }
    names, root = sorted(state), tmp_path_factory.mktemp("checkpoint")
    for i in range(2):
        shard = {name: state[name] for name in names[i::2]}
        save_file(shard, root / f"model-{i + 1:05d}-of-00002.safetensors")
    return root


def test_the_parts_of_one_folder(folder):
    """Every parameter is that of the file; nothing is left as it was allocated."""
    theirs, vocab = tiny_model(seed=7).state_dict(), len(tokenizer())
    parts = {
        "vision_model.": build_encoder(image_size=32, num_layers=1, weights=folder, **SIZES),
        "qformer.": QFormer(
            QUERIES, num_layers=1, encoder_hidden_size=32, vocab_size=vocab, weights=folder, **SIZES
        ),
    }
    for prefix, part in parts.items():
        for name, tensor in part.state_dict().items():
            torch.testing.assert_close(
                tensor, theirs[prefix + name].bfloat16().float(), atol=0, rtol=0
            )
    queries = torch.nn.Parameter(torch.zeros(1, QUERIES, 32))
    load_queries(queries, folder)
    torch.testing.assert_close(
        queries.data, theirs["query_tokens"].bfloat16().float(), atol=0, rtol=0
    )


def test_a_vocabulary_that_was_extended(folder):
    """The new rows are like the old ones, in two tables; the rotary frequencies, which no file holds, are there."""
    theirs = tiny_model(seed=7).state_dict()
    llm = build_llm(len(tokenizer()), num_layers=2, tie_embeddings=False, weights=folder, **SIZES)
    assert (
        llm.pretrained
        and torch.isfinite(llm(torch.tensor([[1, 5, len(tokenizer()) - 1]])).logits).all()
    )
    for name, tensor in llm.state_dict().items():
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            old = theirs["language_model.model.embed_tokens.weight"][:ROWS].bfloat16().float()
            old, new = (old.flip(0) if name == "lm_head.weight" else old), tensor[ROWS:]
            torch.testing.assert_close(tensor[:ROWS], old, atol=0, rtol=0)
            assert new.std().item() == pytest.approx(old.std().item(), rel=0.1) and len(
                new.unique(dim=0)
            ) == len(new)
        else:
            torch.testing.assert_close(
                tensor, theirs[f"language_model.{name}"].bfloat16().float(), atol=0, rtol=0
            )


@pytest.mark.parametrize("with_head", [False, True])
def test_tied_tables_stay_tied(tmp_path, with_head):
    state = saved_llm(tmp_path, with_head=with_head)
    llm = build_llm(len(tokenizer()), num_layers=2, weights=tmp_path, **SIZES)
    assert llm.lm_head.weight is llm.model.embed_tokens.weight
    assert torch.equal(llm.lm_head.weight, state["model.embed_tokens.weight"])


def test_a_head_of_its_own_is_not_lost_in_silence(folder):
    """Two tables of a file cannot be one of a model."""
    with pytest.raises(
        InputError, match=r"lm_head\.weight that differs from embed_tokens.*--llm\.tie_embeddings"
    ):
        build_llm(len(tokenizer()), num_layers=2, weights=folder, **SIZES)


def test_code_in_a_folder_of_weights_is_never_opened(tmp_path):
    """Pickles and Python files, which other loaders read on demand, beside the tensors and alone."""
    load = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    (tmp_path / "modeling_own.py").write_text(load)
    config = {"auto_map": {"AutoModel": "modeling_own.Own"}}
    state = saved_llm(tmp_path, **config)
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert read_tensors(tmp_path).keys() == state.keys()
    load_part(build_llm(len(tokenizer()), num_layers=2, **SIZES), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert read_tensors(tmp_path).keys() == state.keys()  # tensors alone, as the pickle has them
    torch.save({**state, "code": Path}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds more than tensors"):
        read_tensors(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(MissingFileError, match=r"no \.safetensors file"):
        read_tensors(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_what_is_missing_is_named(folder):
    with pytest.raises(
        ValueError, match=r"lacks 9 parameters of LlamaForCausalLM, the first is model.layers.2"
    ):
        build_llm(len(tokenizer()), num_layers=3, weights=folder, **SIZES)
    with pytest.raises(ValueError, match=r"has shape \(32, 32\), the model needs \(48, 32\)"):
        load_part(build_llm(len(tokenizer()), 32, 2, 2, 48), folder, "language_model.")


def test_weights_of_more_layers_are_refused(tmp_path):
    """Without a `config.json`, too: what has no place in the model is named."""
    saved_llm(tmp_path)
    with pytest.raises(
        InputError, match=r"has 9 parameters that this LlamaForCausalLM lacks.*model\.layers\.1\."
    ):
        build_llm(len(tokenizer()), num_layers=1, weights=tmp_path, **SIZES)


def test_constants_that_older_files_hold_are_no_weights(tmp_path):
    state = saved_llm(tmp_path)
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    save_file(state, tmp_path / "model.safetensors")
    assert build_llm(len(tokenizer()), num_layers=2, weights=tmp_path, **SIZES).pretrained


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"num_hidden_layers": 3}, "num_hidden_layers is 3 there and --llm.num_layers is 2"),
        ({"hidden_size": 64}, "hidden_size is 64 there and --llm.hidden_size is 32"),
        ({"intermediate_size": 64}, "intermediate_size is 64 there and --llm.mlp_size is 32"),
        ({"rms_norm_eps": 1e-5}, "rms_norm_eps is 1e-05 there and --llm.rms_norm_eps is 1e-06"),
        (
            {"rope_parameters": None, "rope_theta": 500000.0},
            "rope_theta is 500000.0 there and --llm.rope_theta is 10000.0",
        ),
        (
            {"tie_word_embeddings": False},
            "tie_word_embeddings is False there and --llm.tie_embeddings is True",
        ),
        (
            {"max_position_embeddings": 64},
            "max_position_embeddings is 64 there and --llm.max_positions is 2048",
        ),
        ({"model_type": "t5"}, "is of a t5, of which transformers has no causal language model"),
        ({"model_type": "nobody"}, "has model_type 'nobody', which transformers does not know"),
    ],
)
def test_a_size_that_differs_from_config_json_is_named(tmp_path, config, sentence):
    """Both values, and that the file decides."""
    saved_llm(tmp_path, **config)
    given = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_embeddings": True}
    with pytest.raises(InputError) as error:
        build_llm(
            len(tokenizer()), num_layers=2, max_positions=2048, weights=tmp_path, **given, **SIZES
        )
    assert sentence in str(error.value) and str(tmp_path) in str(error.value)


def test_config_json_decides(tmp_path):
    """LLaMA 2 has another epsilon, LLaMA 3 another base of the frequencies: nothing of it is said again."""
    theirs = {"rms_norm_eps": 1e-2, "rope_parameters": None, "rope_theta": 500.0}
    state = saved_llm(tmp_path, **theirs, max_position_embeddings=4096)
    ours = build_llm(len(tokenizer()), weights=tmp_path, max_positions=64)
    config = LlamaConfig.from_pretrained(tmp_path)
    reference = LlamaForCausalLM(config)
    reference.load_state_dict(state, strict=False)
    ids = torch.arange(5, 15)[None]
    torch.testing.assert_close(ours(ids).logits, reference(ids).logits)
    assert ours.config.max_position_embeddings == 64, "fewer than were trained"
    other = build_llm(len(tokenizer()), num_layers=2, **SIZES)
    other.load_state_dict(ours.state_dict())
    assert not torch.allclose(other(ids).logits, ours(ids).logits)


def test_a_gguf_is_read_by_a_model_of_its_own(tmp_path, monkeypatch):
    """Which keeps its weights while ours is laid out without memory."""
    saved_llm(tmp_path, model_type="llama")
    (tmp_path / "model.safetensors").rename(tmp_path / "small.gguf")  # read by nobody here

    def read(file: Path) -> dict[str, torch.Tensor]:
        torch.manual_seed(6)
        return build_llm(len(tokenizer()), num_layers=2, **SIZES).state_dict()

    monkeypatch.setattr("vista.models.stored.read_gguf", read)
    with without_memory():
        llm = build_llm(len(tokenizer()), weights=tmp_path)
    assert is_laid_out(llm)
    fill_part(llm)
    for name, tensor in read(tmp_path).items():
        assert torch.equal(llm.state_dict()[name], tensor), name


def test_other_weights_than_the_architecture_says_are_refused(tmp_path):
    """A folder of its own may say what the weights are; the one beside them must agree."""
    for name, heads in (("shape", 2), ("weights", 8)):
        (tmp_path / name).mkdir()
        sizes = {
            "num_attention_heads": heads,
            "num_key_value_heads": heads,
            "head_dim": 32 // heads,
        }
        saved_llm(tmp_path / name, **sizes)
    (tmp_path / "shape/model.safetensors").unlink()
    parts = {"weights": tmp_path / "weights", "architecture": tmp_path / "shape"}
    with pytest.raises(InputError, match=r"num_attention_heads is 8 there and 2 here"):
        build_llm(len(tokenizer()), **parts)
    (tmp_path / "weights/config.json").unlink()
    assert build_llm(len(tokenizer()), **parts).config.num_attention_heads == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "config.json is no JSON file"),
        ("[]", "config.json holds no settings of a model"),
        ('{"model_type": "llama", "hidden_size": "x"}', "config.json describes no llama"),
    ],
)
def test_a_damaged_config_json_is_a_sentence(tmp_path, text, sentence):
    saved_llm(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        build_llm(len(tokenizer()), num_layers=2, weights=tmp_path, **SIZES)


def test_a_config_json_of_something_else_says_nothing(tmp_path):
    saved_llm(tmp_path)
    (tmp_path / "config.json").write_text('{"name": "my tool"}')
    assert build_llm(len(tokenizer()), num_layers=2, weights=tmp_path, **SIZES).pretrained


@pytest.fixture
def composite(tmp_path):
    """A folder of an InstructBLIP with one section for each part."""
    model = tiny_model(seed=7)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    del state["language_model.lm_head.weight"]  # it is the table of the inputs
    save_file(state, tmp_path / "model.safetensors")
    config = InstructBlipConfig(
        vision_config=model.vision_model.config.to_dict(),
        qformer_config=model.qformer.config.to_dict(),
        text_config=model.language_model.config.to_dict(),
        num_query_tokens=QUERIES,
    )
    config.save_pretrained(tmp_path)
    return tmp_path


def build(group, weights, **changes):
    vocab = len(tokenizer())
    if group == "encoder":
        return build_encoder(
            image_size=32, weights=weights, **{"num_layers": 1, **SIZES, **changes}
        )
    if group == "qformer":
        settings = {"num_layers": 1, "encoder_hidden_size": 32, **SIZES, **changes}
        return QFormer(QUERIES, vocab_size=vocab, weights=weights, **settings)
    return build_llm(vocab, weights=weights, **{"num_layers": 2, **SIZES, **changes})


@pytest.mark.parametrize("group", ["encoder", "qformer", "llm"])
def test_each_part_is_compared_with_its_section(composite, group):
    assert build(group, composite).config.num_attention_heads == 2
    here = rf"4 here \(--{group}\.num_heads\)|--{group}\.num_heads is 4"
    with pytest.raises(InputError, match=f"num_attention_heads is 2 there and ({here})"):
        build(group, composite, num_heads=4)


def test_a_checkpoint_of_ours_says_what_no_shape_tells():
    found = unseen_settings(tiny_model())
    assert found["vision_model.num_attention_heads"] == 2
    assert found["language_model.rope_theta"] == 10000.0
    assert found["vision_model.pixels.size"] == 32


def test_sizes_are_those_of_config_json(composite):
    """Nothing is repeated: not of the encoder, not of the QFormer, not the number of its queries."""
    model = tiny_model(seed=7)
    encoder = build_encoder(weights=composite)
    qformer = QFormer(encoder_hidden_size=32, vocab_size=len(tokenizer()), weights=composite)
    assert qformer.num_queries == QUERIES
    for part, expected in ((encoder, model.vision_model), (qformer, model.qformer)):
        assert part.state_dict().keys() == expected.state_dict().keys()
        for name, tensor in expected.state_dict().items():
            assert torch.equal(part.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"num_queries": 8}, f"num_query_tokens is {QUERIES} there and --qformer.num_queries is 8"),
        ({"num_layers": 2}, "num_hidden_layers is 1 there and --qformer.num_layers is 2"),
        (
            {"cross_attention_every": 2},
            "cross_attention_frequency is 1 there and --qformer.cross_attention_every is 2",
        ),
        ({"encoder_hidden_size": 64}, "encoder_hidden_size is 32 there and 64 here"),
    ],
)
def test_a_size_of_the_qformer_that_differs_is_named_with_both_values(composite, given, sentence):
    settings = {"encoder_hidden_size": 32, "vocab_size": len(tokenizer()), **given}
    with pytest.raises(InputError) as error:
        QFormer(weights=composite, **settings)
    assert sentence in str(error.value)


def test_dropout_is_no_size(composite):
    """InstructBLIP's is in its file, and another one may be asked for."""
    file = composite / "config.json"
    content = json.loads(file.read_text())
    content["qformer_config"] |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    file.write_text(json.dumps(content))
    settings = {"encoder_hidden_size": 32, "vocab_size": len(tokenizer()), "weights": composite}
    usual, none = QFormer(**settings), QFormer(dropout=0.0, **settings)
    assert [part.config.hidden_dropout_prob for part in (usual, none)] == [0.1, 0.0]


def test_a_qformer_of_an_architecture_starts_at_random(composite):
    """Its sizes are those of the file; a download that was interrupted is no such start."""
    first, second = (
        QFormer(encoder_hidden_size=32, vocab_size=9, architecture=composite) for _ in range(2)
    )
    assert first.config.num_hidden_layers == 1 and first.num_queries == QUERIES
    weights = [part.encoder.layer[0].attention.attention.query.weight for part in (first, second)]
    assert not torch.equal(*weights)
    (composite / "model.safetensors").unlink()
    with pytest.raises(MissingFileError, match="at random names it as its `architecture`"):
        QFormer(encoder_hidden_size=32, vocab_size=9, weights=composite)
    (composite / "config.json").unlink()
    with pytest.raises(MissingFileError, match=r"no config\.json; qformer\.architecture names"):
        QFormer(encoder_hidden_size=32, vocab_size=9, architecture=composite)


def test_another_model_cannot_be_the_qformer(tmp_path):
    """Nor is one of the tiny size built in its place."""
    saved_llm(tmp_path, model_type="llama")
    for given in ({"weights": tmp_path}, {"architecture": tmp_path}):
        with pytest.raises(InputError, match="is of a llama, which cannot be the QFormer"):
            QFormer(encoder_hidden_size=32, vocab_size=9, **given)


def test_a_part_of_an_architecture_alone_starts_at_random(composite, tmp_path):
    """Weights that lie beside it are not looked at; a folder that says nothing is refused."""
    (composite / "model.safetensors").write_text("no weights")
    (tmp_path / "empty").mkdir()
    vocab = len(tokenizer())
    builders = {
        "encoder": build_encoder,
        "qformer": partial(QFormer, encoder_hidden_size=32, vocab_size=vocab),
        "llm": partial(build_llm, vocab),
    }
    expected = tiny_model()
    parts = {"encoder": "vision_model", "qformer": "qformer", "llm": "language_model"}
    for group, builder in builders.items():
        shapes = {name: t.shape for name, t in builder(architecture=composite).state_dict().items()}
        own = getattr(expected, parts[group]).state_dict()
        assert shapes == {name: tensor.shape for name, tensor in own.items()}
        with pytest.raises(
            MissingFileError, match=rf"empty holds no config\.json; {group}\.architecture"
        ):
            builder(architecture=tmp_path / "empty")
    assert QFormer(architecture=composite).num_queries == QUERIES


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_an_index_that_is_damaged_is_refused(tmp_path, text):
    saved_llm(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match=r"index\.json is no index of files of weights; download"):
        read_tensors(tmp_path)


def test_a_model_of_the_hub_is_downloaded_or_told_how(tmp_path, monkeypatch):
    """Weights, settings and tokenizers alone; what is on the disk is asked for nowhere."""
    asked = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if name == "some/one":
            raise OSError("no network")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    state = saved_llm(tmp_path)
    llm = build_llm(len(tokenizer()), num_layers=2, weights=Path("owner/model"), **SIZES)
    assert torch.equal(llm.model.norm.weight, state["model.norm.weight"])
    settings, everything = ["*.json"], ["*.safetensors", "*.json", "*.model", "*.txt"]
    assert asked == [("owner/model", settings), ("owner/model", everything)]
    with pytest.raises(MissingFileError, match=r"run `hf download some/one .*--local-dir DIR`"):
        build_llm(len(tokenizer()), num_layers=2, weights=Path("some/one"), **SIZES)
    (tmp_path / "some" / "two").mkdir(parents=True)
    with pytest.raises(MissingFileError, match=r"no \.safetensors file at some/two"):
        build_llm(len(tokenizer()), num_layers=2, weights=Path("some/two"), **SIZES)
    assert len(asked) == 3
