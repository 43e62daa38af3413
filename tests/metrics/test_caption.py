"""Caption scores: tokenizers, the library's scorers, what happens without Java or without jars."""

import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from tests.metrics.cases import score
from vista.data import Prediction
from vista.metrics import caption as module
from vista.metrics import ptb, spice
from vista.metrics.caption import CaptionMetric, caption_scores, strip_markup
from vista.metrics.llava import LLaVAMetric
from vista.metrics.ptb import tokenize, tokenize_java, tokenize_python

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="java is not on PATH")
FAST = {"metrics": ("CIDEr", "ROUGE_L", "BLEU"), "tokenizer": "python"}
CAPTIONS = [
    "A man's hat, on (the) chair..",
    "",
    "Two dogs - one cat!",
    "\u201cStop\u201d sign isn't red;",
    "a caf\u00e9?",
]
WORDS = [
    "a man 's hat on -lrb- the -rrb- chair",
    "",
    "two dogs one cat",
    "stop sign is n't red",
    "a caf\u00e9",
]


def _read_only(path, mode):
    return mode != os.W_OK


def test_python_tokenizer():
    assert tokenize_python(CAPTIONS) == WORDS


@needs_java
def test_java_tokenizer_keeps_each_caption_in_its_place():
    assert tokenize_java(CAPTIONS) == WORDS
    # Without the cleaning each of these marks would be a line of its own and shift what follows.
    broken = ["a\r\ndog", "a\u2028cat", " ", "a\x85bird\n", "the end"]
    assert (
        tokenize(broken, "java")
        == tokenize(broken, "python")
        == ["a dog", "a cat", "", "a bird", "the end"]
    )
    assert tokenize(["", "a \ud800 dog"], "java") == ["", "a dog"]


@needs_java
@pytest.mark.skipif("VISTA_REALDATA" not in os.environ, reason="VISTA_REALDATA names no folder")
def test_tokenizers_agree_on_coco():
    path = Path(os.environ["VISTA_REALDATA"]) / "coco" / "captions_only" / "captions_val2017.json"
    captions = [a["caption"] for a in json.loads(path.read_text())["annotations"]]
    pairs = list(zip(tokenize(captions, "java"), tokenize(captions, "python"), strict=True))
    # What is left are captions of two sentences and abbreviations ("12th Ave.").
    assert sum(java != python for java, python in pairs) <= 9
    assert len(pairs) == 5003


def test_tokenizer_without_java(monkeypatch):
    monkeypatch.setattr(ptb.shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match=r"Python tokenizer: .*PATH"):
        assert tokenize(["A dog."]) == ["a dog"]
    with pytest.raises(FileNotFoundError, match="java"):
        tokenize(["A dog."], "java")
    with pytest.raises(ValueError, match="perl"):
        tokenize(["A dog."], "perl")


@needs_java
def test_tokenizer_in_a_read_only_folder_names_the_folder(monkeypatch):
    monkeypatch.setattr(ptb.os, "access", _read_only)
    with pytest.raises(PermissionError, match=r"pycocoevalcap/tokenizer, which is not writable"):
        tokenize(["a dog"], "java")
    with pytest.warns(UserWarning, match="not writable"):
        assert tokenize(["a dog"]) == ["a dog"]


def test_strip_markup():
    assert strip_markup("a dog [1, 2, 3, 4] <bsep> [5, 6, 7, 8] runs [12, 4") == "a dog runs"
    assert strip_markup("a [sic] dog") == "a [sic] dog"


def test_scores_are_the_librarys():
    captions = ["a man rides a horse", "a cat sleeps", "a red bus on the street"]
    references = [
        ["a man riding a horse", "man on a horse"],
        ["a cat is asleep"],
        ["a bus", "a red bus stops"],
    ]
    gts, res = dict(enumerate(references)), {i: [c] for i, c in enumerate(captions)}
    expected = {
        "CIDEr": Cider().compute_score(gts, res)[0],
        "ROUGE_L": Rouge().compute_score(gts, res)[0],
    }
    expected |= {
        f"BLEU_{n + 1}": value
        for n, value in enumerate(Bleu(4).compute_score(gts, res, verbose=0)[0])
    }
    found = caption_scores(captions, references, **FAST)
    assert found == pytest.approx({key: 100 * value for key, value in expected.items()})
    assert found["CIDEr"] > 50


def test_nothing_is_printed(capfd):
    caption_scores(["a dog"], [["a dog"]], **FAST)
    assert capfd.readouterr().out == ""


def test_empty_caption_stays_in_the_set():
    references = [["a dog runs fast today"], ["two cats sleep here now"]]
    whole = caption_scores(["a dog runs fast today", "two cats sleep here now"], references, **FAST)
    half = caption_scores(["a dog runs fast today", ""], references, **FAST)
    assert half["CIDEr"] == pytest.approx(whole["CIDEr"] / 2)
    assert half["ROUGE_L"] == pytest.approx(50)
    assert caption_scores(["", "."], references, **FAST) == dict.fromkeys(whole, 0.0)


def test_references_without_words_are_no_error():
    # The library's BLEU adds tiny numbers against divisions by zero.
    assert max(caption_scores(["a dog", ""], [["..."], ["."]], **FAST).values()) == pytest.approx(
        0, abs=1e-6
    )


def test_one_image_gives_cider_0():
    assert caption_scores(["a dog"], [["a dog"]], ("CIDEr",), "python") == {"CIDEr": 0.0}


def test_duplicates_and_missing_references_are_errors():
    metric = CaptionMetric(**FAST)
    metric.update([Prediction(answer="a")] * 2, [{"id": 7, "captions": ["a"]}] * 2)
    with pytest.raises(ValueError, match="sample 7 has more than one caption"):
        metric.compute()
    with pytest.raises(ValueError, match="sample 8 has no reference captions"):
        metric.update([Prediction(answer="a")], [{"id": 8, "captions": []}])
    with pytest.raises(ValueError, match="METEORITE"):
        CaptionMetric(metrics=("METEORITE",))


def test_spice_is_left_out_with_the_way_to_get_it():
    if spice.spice_problem() is None:
        pytest.skip("the SPICE jars are here")
    with pytest.warns(UserWarning, match="SPICE skipped"):
        found = caption_scores(["a dog"], [["a dog"]], ("CIDEr", "SPICE"), "python")
    assert set(found) == {"CIDEr"}


def test_spice_asks_for_open_packages_and_forgives_images_without_tuples(monkeypatch):
    class FakeSpice:
        def compute_score(self, gts, res):
            assert "--add-opens=java.base/java.math=ALL-UNNAMED" in os.environ["JDK_JAVA_OPTIONS"]
            return np.nan, [{"All": {"f": 0.5}}, {"All": {"f": np.nan}}, {"All": {"f": 0.3}}]

    monkeypatch.setattr(spice.library, "Spice", FakeSpice)
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Xint")
    with pytest.warns(UserWarning, match="1 of 3 images have no tuples"):
        assert spice.spice_score({}, {}) == pytest.approx(0.4)
    assert os.environ["JDK_JAVA_OPTIONS"] == "-Xint"


@needs_java
def test_spice_problems_are_found_before_the_library_is_called(monkeypatch, tmp_path):
    monkeypatch.setattr(spice, "_FOLDER", tmp_path)
    assert "python -m pycocoevalcap.spice.get_stanford_models" in spice.spice_problem()
    assert spice.spice_problem(allow_download=True) is None
    (tmp_path / "lib").mkdir()
    for name in ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar"):
        (tmp_path / "lib" / name).touch()
    assert spice.spice_problem() is None
    monkeypatch.setattr(spice.os, "access", _read_only)
    assert "not writable" in spice.spice_problem()


def test_meteor_needs_java(monkeypatch):
    monkeypatch.setattr(ptb.shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match="METEOR skipped"):
        assert set(caption_scores(["a dog"], [["a dog"]], ("METEOR", "CIDEr"), "python")) == {
            "CIDEr"
        }


@needs_java
def test_meteor_that_dies_is_left_out(monkeypatch):
    class Dying(module.Meteor):
        def compute_score(self, gts, res):
            self.lock.acquire()
            raise BrokenPipeError("Java is gone")

    monkeypatch.setattr(module, "Meteor", Dying)
    with pytest.warns(UserWarning, match="METEOR skipped: its Java process failed"):
        assert caption_scores(["a dog"], [["a dog"]], ("METEOR",), "python") == {}


@needs_java
def test_meteor():
    captions, references = (
        ["a man riding a horse", "", "a dog ||| runs"],
        [["a man on a horse"], ["a cat"], ["a dog runs"]],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = caption_scores(captions, references, ("METEOR",), "python")
    assert 30 < found["METEOR"] < 100


@needs_java
@pytest.mark.parametrize("variable", ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"])
@pytest.mark.parametrize("locale", ["de DE", "tr TR"])
def test_meteor_under_a_locale_with_decimal_commas(monkeypatch, variable, locale):
    language, country = locale.split()
    # No such locale need be installed: Java takes it from here as from the environment.
    options = f"-Duser.language={language} -Duser.country={country}"
    arguments = (["a man riding a horse"], [["a man on a horse"]], ("METEOR",), "python")
    usual = caption_scores(*arguments)
    monkeypatch.setenv(variable, options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert caption_scores(*arguments) == usual
    assert usual["METEOR"] > 0 and os.environ[variable] == options


def test_llava_is_rouge_of_the_answer():
    made = [
        (Prediction(answer="a red dog"), {"answer": "A red dog."}),
        (Prediction(answer=""), {"answer": "."}),
    ]
    assert score(LLaVAMetric(tokenizer="python"), made) == {
        "ROUGE_L": pytest.approx(50),
        "n": 2,
        "parse_failures": 0,
    }
