"""The sources that the tests of `score` score."""

import pytest
import yaml

from datamodules.commands.configured import read_setup
from tests.commands.scored_files import CAPTION, FORMATS, REC, VQA, write


@pytest.fixture
def config(tmp_path):
    content = {
        "data": {"root": str(FORMATS), "sources": {"rec": REC, "vqav2": VQA, "caption": CAPTION}}
    }
    return str(write(tmp_path / "sources.yaml", yaml.safe_dump(content)))


@pytest.fixture
def setup(config):
    return read_setup([config], None, [])
