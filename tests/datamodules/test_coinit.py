"""The configs of official files: CoinIt (Table 1) and all benchmarks of the paper's tables."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from datamodules.commands.configured import read_setup
from datamodules.readers import READERS
from datamodules.source import check_source
from datamodules.splits import Splits
from tests.tiny import run
from vista.app.report import PAPER
from vista.app.settings import stack
from vista.codec.codec import Codec

DOCS = Path(__file__).parents[2] / "docs" / "sources.md"
SETUPS = {name: read_setup([name], None, []) for name in ("coinit", "eval")}
ROWS = [(config, name) for config, setup in SETUPS.items() for name in setup.sources]
REFER = {
    f"{task}_{dataset}_{split}"
    for task in ("rec", "res")
    for dataset, splits in (
        ("refcoco", "val testA testB"),
        ("refcocop", "val testA testB"),
        ("refcocog", "val test"),
    )
    for split in splits.split()
}
EVAL_NAMES = REFER | {
    f"{task}_{split}" for task in ("grec", "gres") for split in ("val", "testA", "testB")
}
EVAL_NAMES |= {f"pope_{split}" for split in ("random", "popular", "adversarial")}
EVAL_NAMES |= {
    "caption_coco", "vqav2_val", "vcr_val", "pqa_looktwice", "pqa_localqa", "bqa_looktwice", "bqa_localqa",
    "bqa_visual7w", "textvqa_val", "iconqa_test", "hateful_memes_dev_seen", "hateful_memes_test_seen", "nlvr2_dev",
    "nlvr2_test1", "coseg_pascal", "coseg_msrc", "coseg_icoseg",
}  # fmt: skip
# Table 1: what is trained on, and with what.
TRAINED = {
    "caption": {"coco"}, "vqav2": {"vqav2"}, "llava": {"llava_instruct"}, "grec": {"grefcoco"}, "gres": {"grefcoco"},
    "rec": {"refcoco", "refcocop", "refcocog"}, "res": {"refcoco", "refcocop", "refcocog"},
    "reg": {"refcoco", "refcocop", "refcocog", "visual_genome"}, "spot_caption": {"flickr30k_entities"},
    "vcr": {"vcr"}, "pqa": {"looktwice", "localqa"}, "bqa": {"looktwice", "localqa", "visual7w"}, "nlvr2": {"nlvr2"},
    "coseg": {"coseg_groups"}, "attcoseg": {"attcoseg_coco"},
}  # fmt: skip


@pytest.mark.parametrize("config", SETUPS)
def test_every_benchmark_of_the_paper_under_its_name(config):
    names = [name for source in SETUPS[config].sources.values() for name in source.test]
    assert len(names) == len(set(names))
    assert set(names) == EVAL_NAMES
    assert {name for name, _ in PAPER} <= set(names)


def test_what_table_1_trains_on():
    trained: dict[str, set[str]] = {}
    for source in SETUPS["coinit"].sources.values():
        if source.train:
            trained.setdefault(source.task, set()).add(source.dataset)
    assert trained == TRAINED
    assert not any(source.train for source in SETUPS["eval"].sources.values())


@pytest.mark.parametrize(("config", "name"), ROWS)
def test_task_reader_and_splits_fit_together(config, name):
    source = SETUPS[config].sources[name]
    check_source(name, source)
    for split in filter(None, (source.train, source.val, *source.test.values())):
        READERS[source.dataset](Path(), split)
        assert split != source.train or split not in (source.val, *source.test.values())


@pytest.mark.parametrize(("config", "name"), ROWS)
def test_a_missing_folder_is_one_sentence_with_source_path_and_address(config, name, tmp_path):
    source = SETUPS[config].sources[name]
    for split in filter(None, (source.train, source.val, *source.test.values())):
        with pytest.raises(FileNotFoundError) as error:
            Splits(tmp_path, Codec(), tmp_path).read(name, source, split)
        sentence = str(error.value)
        pattern = rf"source {name}: \w+ \({split}\) needs {tmp_path}/.+, which is not there: see https?://\S+"
        assert re.fullmatch(pattern, sentence), sentence


@pytest.mark.parametrize(
    ("configs", "sources"),
    [
        (("coinit",), "coinit"),
        (("stage1", "vicuna_7b", "coinit", "fsdp"), "coinit"),
        (("eval",), "eval"),
    ],
)
def test_the_command_line_takes_them(configs, sources):
    words = [word for name in configs for word in ("--config", name)]
    code, out, err = run("fit", *words, "--print_config")
    assert code == 0, err
    parsed = yaml.safe_load(out)["data"]
    assert parsed["root"] == "data/coinit"
    assert set(parsed["sources"]) == set(SETUPS[sources].sources)
    for name, source in SETUPS[sources].sources.items():
        assert parsed["sources"][name]["test"] == source.test
        assert parsed["sources"][name]["weight"] == source.weight
    assert parsed["tasks"] == (
        None if "stage1" not in configs else stack(["stage1"])["data"]["tasks"]
    )


def test_a_missing_data_root_names_a_source_and_its_address(tmp_path):
    code, _, err = run(
        "fit",
        "--config",
        "coinit",
        f"--data.root={tmp_path / 'nowhere'}",
        "--trainer.fast_dev_run=true",
    )
    assert code == 2
    assert (
        "nowhere is not there; name it by --data.root: source caption_coco needs coco, see https://cocodataset"
        in err
    )


def test_the_page_of_sources_speaks_of_all_of_them():
    text = DOCS.read_text(encoding="utf-8")
    for setup in SETUPS.values():
        for source in setup.sources.values():
            assert f"`{source.dataset}`" in text, source.dataset
            assert READERS[source.dataset].source.partition("#")[0] in text, source.dataset


def test_the_audit_knows_all_data_sets(tmp_path, monkeypatch):
    shutil.copytree(Path(__file__).parents[1] / "formats", tmp_path / "data" / "coinit")
    monkeypatch.chdir(tmp_path)
    outcome = run("data", "audit", "--config", "coinit.yaml")
    assert outcome.code == 0, outcome.err
    lost = dict(
        re.findall(r"^(\w+) \(\w+\): ([\d,]+) of [\d,]+ samples", outcome.out, re.MULTILINE)
    )
    assert int(lost["vqav2"]) > 0, outcome.out
    trained = [s for s in SETUPS["coinit"].sources.values() if s.train]
    assert len(lost) + outcome.out.count("not looked at") >= len(trained)
