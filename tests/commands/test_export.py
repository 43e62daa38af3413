"""A model as one folder: transformers reads it, our verbs take it, and what is not whole is refused in a sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning import LightningModule, Trainer
from PIL import Image
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForCausalLM,
    AutoProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    InstructBlipForConditionalGeneration,
)

from tests.conftest import FinishedRun
from tests.tiny import QUERIES, ask, logits_of, question, run, tiny_model, tokenizer
from vista.app import runs
from vista.app.run_folder import CheckpointFile
from vista.app.runs import find_checkpoint
from vista.data import InputError
from vista.images import ImageTransform
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.pixels import usual_pixels
from vista.models.vistallm import VistaLLM
from vista.training import checkpoint_files, write_folder
from vista.training.checkpoints import open_weights, read_checkpoint
from vista.training.model_folder import FolderWeights
from vista.training.sharded_checkpoints import finish, write_shards
from vista.training.write_folder import FolderWriter

SIZES = {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "mlp_size": 32}
STATES = {"epoch": 1, "global_step": 20, "pytorch-lightning_version": "2.6.6"}


@pytest.fixture(scope="module")
def exported(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of the fixture in float32, to be read only."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    code, out, err = run(
        "export", "--ckpt_path", finished_run.folder, "--out", folder, "--dtype=float32"
    )
    assert code == 0, err
    assert "float32" in out and not folder.with_name("model.unfinished").exists()
    return folder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def trained(finished: FinishedRun) -> VistaLLM:
    """The model of the run, built by hand."""
    vocab = len(tokenizer())
    encoder = build_encoder(image_size=32, **SIZES)
    qformer = QFormer(QUERIES, encoder_hidden_size=32, vocab_size=vocab, **SIZES)
    llm = build_llm(vocab_size=vocab, **SIZES)
    model = VistaLLM(encoder, qformer, llm, tokenizer().image_id)
    state = read_checkpoint(find_checkpoint(finished.folder))["state_dict"]
    names = {name.removeprefix("model."): t for name, t in state.items() if name != "learned_words"}
    model.load_state_dict(names)
    return model.eval()


@pytest.mark.parametrize("images", ["a", "abc"])
def test_transformers_gives_the_same_logits(finished_run, exported, images):
    prompt = "<image> " * len(images) + "Where is the red circle at [12, 345]?"
    batch = ask(question(prompt, *images))
    theirs, report = InstructBlipForConditionalGeneration.from_pretrained(
        exported, output_loading_info=True
    )
    assert not any(report.values()) and theirs.dtype == torch.float32
    with torch.no_grad():
        found = theirs.eval()(
            pixel_values=batch["pixel_values"][batch["image_index"]],
            qformer_input_ids=batch["instruction_ids"][batch["sample_index"]],
            qformer_attention_mask=batch["instruction_mask"][batch["sample_index"]],
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
        ).logits
        torch.testing.assert_close(
            found, logits_of(trained(finished_run), batch), atol=1e-5, rtol=0
        )


def test_transformers_processor_is_ours_outside_of_brackets(exported):
    processor = AutoProcessor.from_pretrained(exported)
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    text = "the red circle left of the square"
    found = processor(images=Image.fromarray(pixels), text=text, return_tensors="pt")
    transform = ImageTransform(32)
    shown = transform.normalised(transform(pixels))
    torch.testing.assert_close(found["pixel_values"][0], shown, atol=1e-5, rtol=0)
    ours = tokenizer()
    ids = [ours.image_id] * QUERIES + ours.encode(text, bos=True)
    assert found["input_ids"].tolist() == [ids]
    assert found["qformer_input_ids"].tolist() == [ours.encode_instruction(text)]


def test_a_folder_is_the_checkpoint(finished_run, exported):
    ckpt = read_checkpoint(find_checkpoint(finished_run.folder))
    found = read_checkpoint(exported)
    assert found["vista"] == ckpt["vista"] and found["global_step"] == ckpt["global_step"]
    assert found["state_dict"].keys() == ckpt["state_dict"].keys()
    for name, tensor in ckpt["state_dict"].items():
        assert torch.equal(found["state_dict"][name], tensor), name
    head, table = (f"model.language_model.{n}.weight" for n in ("lm_head", "model.embed_tokens"))
    assert found["state_dict"][head].data_ptr() == found["state_dict"][table].data_ptr()
    assert "state_dict" not in read_checkpoint(exported, lazy=True)


def test_several_files_in_half_precision_and_once_more(exported, tmp_path, monkeypatch):
    """Files are as large as is allowed, no tensor is looked at twice, and an exported folder can be exported."""
    monkeypatch.setattr(write_folder, "LARGEST", 100_000)
    folder = tmp_path / "half"
    assert run("export", "--ckpt_path", exported, "--out", folder).code == 0
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = set(index["weight_map"].values())
    assert len(files) > 2 and not (folder / "model.safetensors").exists()
    whole = read_checkpoint(exported)["state_dict"]
    for name, tensor in read_checkpoint(folder)["state_dict"].items():
        expected = whole[name].half().float() if tensor.is_floating_point() else whole[name]
        assert torch.equal(tensor, expected), name
    theirs = InstructBlipForConditionalGeneration.from_pretrained(folder)
    assert theirs.language_model.dtype == torch.float16


def test_whoever_may_read_the_config_may_read_the_weights(exported):
    modes = {file.stat().st_mode for file in exported.iterdir() if file.is_file()}
    assert len(modes) == 1


def test_settings_stand_once(exported):
    config = yaml.safe_load((exported / "config.yaml").read_text())
    assert not {"encoder", "qformer", "llm", "tokenizer", "codec"} & config.keys()
    assert not {"accelerator", "devices", "strategy"} & config["trainer"].keys()
    assert config["model"]["init_from"] is None and config["data"]["sources"]
    card = (exported / "README.md").read_text()
    assert "license: apache-2.0" in card and "| stage1 | vqav2, rec, res |" in card
    assert "| rec_refcoco | rec | refcoco | train |" in card


def test_verbs_take_a_folder(finished_run, exported, tmp_path, monkeypatch):
    """The same answers as the run's checkpoint, scored the same by `score`; another training begins with it."""
    monkeypatch.chdir(tmp_path)
    few = ["--task=rec", "--data.scoring.max_test=6"]
    best = shutil.copy(find_checkpoint(finished_run.folder), tmp_path / "best.ckpt")
    config = ["--config", finished_run.folder / "config.yaml", "--name=run"]
    assert run("test", "--ckpt_path", best, *config, *few).code == 0
    done = run("test", "--ckpt_path", exported, *few)
    assert done.code == 0, done.err
    name = "predictions/rec_refcoco_val.jsonl"
    texts = {}
    for folder in ("run", "model"):
        lines = (tmp_path / "runs" / folder / name).read_text().splitlines()
        texts[folder] = [json.loads(line)["text"] for line in lines]
    assert texts["run"] == texts["model"]
    assert not (exported / "predictions").exists()
    scored = run("score", "--predictions", f"runs/model/{name}", "--data.scoring.max_test=6")
    count = len(texts["model"])
    assert scored.code == 0 and f"rec_refcoco_val: {count} annotations\n" in scored.out, scored.err
    Image.new("RGB", (40, 30)).save("a.png")
    asked = ["--images=a.png", "--text=the red circle", "--task=rec"]
    assert (
        run("predict", "--ckpt_path", exported, *asked).code == 0 and Path("answer.png").is_file()
    )
    more = ["--trainer.max_steps=1", "--data.scoring.max_val=2"]
    settings = ["--config", exported / "config.yaml", "--name=more", *more]
    done = run("fit", *settings, "--model.init_from", exported)
    assert done.code == 0, done.err
    done = run("fit", *settings, "--ckpt_path", exported)
    assert done.code == 2 and f"--model.init_from {exported}" in done.err
    done = run("fit", *settings, "--model.init_from", exported, "--codec.num_points=8")
    assert done.code == 2 and "made with num_points 4, this run has 8" in done.err


def test_lightning_takes_a_folder(finished_run, exported):
    class Holder(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = tiny_like(trained(finished_run))
            self.register_buffer("learned_words", torch.zeros(len(tokenizer()), dtype=torch.bool))

        def test_step(self, batch, batch_idx):
            return None

    def tiny_like(model):
        for parameter in model.parameters():
            parameter.data.zero_()
        return model

    holder = Holder()
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        plugins=[CheckpointFile()], enable_model_summary=False, default_root_dir=exported.parent,
    )  # fmt: skip
    trainer.test(holder, DataLoader([0]), ckpt_path=exported, weights_only=True, verbose=False)
    expected = trained(finished_run).query_tokens
    assert torch.equal(holder.model.query_tokens, expected)


def damage(folder: Path, what: str) -> None:
    weights = folder / "model.safetensors"
    if what == "cut":
        weights.write_bytes(weights.read_bytes()[:-9])
        (folder / "model.safetensors.sha256").unlink()
    elif what == "flipped":
        content = bytearray(weights.read_bytes())
        content[-3] ^= 1
        weights.write_bytes(bytes(content))
    elif what == "gone":
        weights.unlink()
    elif what == "index":
        index = {"weight_map": {"query_tokens": "../model/model.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    elif what in ("vista.json", "tokenizer.json", "config.json"):
        (folder / what).write_text('{"a": 1')
    else:
        (folder / "vista.json").write_text('{"settings": {}}')


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("cut", "model.safetensors is no safetensors file, or is damaged"),
        (
            "flipped",
            "model.safetensors is damaged: its sum is not that in model.safetensors.sha256",
        ),
        ("gone", "lacks model.safetensors; it is not whole"),
        ("index", "names '../model/model.safetensors', which is no file beside it"),
        ("vista.json", "vista.json is no JSON file"),
        ("tokenizer.json", "tokenizer.json is damaged"),
        ("config.json", "config.json is no JSON file"),
        ("foreign", "vista.json is not what `export` writes"),
    ],
)
def test_what_is_not_whole_is_refused_in_one_sentence(copy, tmp_path, monkeypatch, what, sentence):
    monkeypatch.chdir(tmp_path)
    damage(copy, what)
    done = run("test", "--ckpt_path", copy)
    assert done.code == 2 and sentence in done.err and done.err.strip().count("\n") == 0, done.err


def test_a_folder_of_other_weights_is_no_model_of_ours(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match=r"holds weights, but no vista\.json, .*--llm\.weights"):
        find_checkpoint(tmp_path)


def test_what_is_there_is_not_written_over(exported, finished_run):
    done = run("export", "--ckpt_path", finished_run.folder, "--out", exported)
    assert done.code == 2 and "is there already" in done.err


def test_numbers_that_are_too_large_are_refused(tmp_path):
    model = tiny_model()
    model.query_tokens.data[0, 0, 0] = 1e6
    with pytest.raises(
        InputError, match=r"query_tokens holds 1e\+06, too large for torch\.float16"
    ):
        write(model, tmp_path, torch.float16)


def write(model: VistaLLM, folder: Path, dtype: torch.dtype) -> None:
    weights = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    weights["learned_words"] = torch.ones(3, dtype=torch.bool)
    vista = {"settings": {"bracket_layout": "compact"}, "tokenizer": ""}
    pixels = usual_pixels("CLIP", 32)
    FolderWriter(model, weights, dtype, folder).write(
        {"vista": vista, **STATES}, tokenizer(), pixels
    )


def test_a_head_of_its_own_stays_one(tmp_path):
    """The tables of an LLM that is not tied, with the rows that were added to its vocabulary."""
    ours = tiny_model()
    llm = build_llm(vocab_size=len(tokenizer()), tie_embeddings=False, **SIZES)
    model = VistaLLM(ours.vision_model, ours.qformer, llm, ours.image_token_id).eval()
    write(model, tmp_path, torch.float32)
    theirs = InstructBlipForConditionalGeneration.from_pretrained(tmp_path).eval()
    heads = llm.lm_head.weight, theirs.language_model.lm_head.weight
    assert torch.equal(*heads) and not torch.equal(heads[0], llm.model.embed_tokens.weight)
    assert len(heads[1]) == len(tokenizer())
    batch = ask(question("<image> What?", "a"))
    pixels = {"pixel_values": batch["pixel_values"], "qformer_input_ids": batch["instruction_ids"]}
    with torch.no_grad():
        found = theirs(input_ids=batch["input_ids"], **pixels).logits
        torch.testing.assert_close(found, logits_of(model, batch), atol=1e-5, rtol=0)


def test_parts_that_are_no_instructblip_are_folders_of_their_own(tmp_path):
    ours = tiny_model()
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, patch_size=8,
    )  # fmt: skip
    model = VistaLLM(
        CLIPVisionModel(config), ours.qformer, ours.language_model, tokenizer().image_id
    ).eval()
    write(model, tmp_path, torch.float32)
    ids = torch.tensor([[1, 5, 7]])
    llm = AutoModelForCausalLM.from_pretrained(tmp_path / "language_model").eval()
    tower = CLIPVisionModel.from_pretrained(tmp_path / "vision_model").eval()
    pixels = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(llm(ids).logits, ours.language_model(ids).logits)
        torch.testing.assert_close(
            tower(pixels).last_hidden_state, model.vision_model(pixels).last_hidden_state
        )
    found, expected = read_checkpoint(tmp_path)["state_dict"], model.state_dict()
    assert found.keys() == {f"model.{name}" for name in expected} | {"learned_words"}
    for name, tensor in expected.items():
        assert torch.equal(found[f"model.{name}"], tensor), name


def test_weights_of_a_sharded_checkpoint_are_read_one_at_a_time(tmp_path, monkeypatch):
    tensors = {"model.a": torch.randn(3, 2), "model.b": torch.ones(5)}
    path = tmp_path / "last.ckpt"
    named = {f"state_dict.{name}": tensor for name, tensor in tensors.items()}
    write_shards(named, checkpoint_files.unfinished(path))
    finish({"vista": {}, **STATES}, path)
    weights, shapes = open_weights(path)
    assert {name: tuple(t.shape) for name, t in shapes.items()} == {
        "model.a": (3, 2),
        "model.b": (5,),
    }
    for name, tensor in tensors.items():
        assert torch.equal(weights[name], tensor)


def test_without_a_run_the_weights_of_the_clone_are_used(copy, tmp_path, monkeypatch, finished_run):
    """They lie beside main.py, whatever the working folder is; a finished run comes first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clone").mkdir()
    copy.rename(tmp_path / "clone" / "weights")
    monkeypatch.setattr(runs, "CONFIGS", tmp_path / "clone" / "configs")
    monkeypatch.setattr(runs, "OWN_WEIGHTS", tmp_path / "clone" / "weights")
    assert find_checkpoint("weights") == tmp_path / "clone" / "weights"
    Image.new("RGB", (40, 30)).save("a.png")
    asked = ["predict", "--images=a.png", "--text=the red circle", "--task=rec"]
    line = "no run here yet: the weights that come with the clone, weights/"
    done = run(*asked)
    assert done.code == 0 and done.out.splitlines().count(line) == 1, done.err
    Path("runs").mkdir(exist_ok=True)
    Path("runs/stage1").symlink_to(finished_run.folder, target_is_directory=True)
    done = run(*asked)
    assert done.code == 0 and line not in done.out
    shutil.rmtree(tmp_path / "clone")
    Path("runs/stage1").unlink()
    done = run(*asked)
    assert done.code == 2 and "there is no finished run under runs/" in done.err


def test_names_of_weights_are_looked_up_without_reading_them(exported, monkeypatch):
    weights = FolderWeights(exported)
    shapes = weights.shapes()
    assert shapes.keys() == weights.keys() and all(t.is_meta for t in shapes.values())
