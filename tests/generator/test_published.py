"""The commands of docs/weights.md are the presets in code."""

import re
import shlex
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from roadstill.generator.config import FinetuneConfig
from roadstill.generator.published import MINIMAX_CIFAR10

TEXT = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8").replace("\\\n", " ")


@pytest.mark.parametrize(("name", "out"), [("thesis", "work/minimax"), ("author", "work/author")])
def test_the_documented_commands_are_the_presets(name, out):
    line = re.search(rf"^roadstill finetune work/pixels {out} .*$", TEXT, flags=re.M).group()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(FinetuneConfig, "tuning")
    words = [word for word in shlex.split(line)[6:]]
    parsed = parser.instantiate(parser.parse_args(words)).tuning
    assert parsed == MINIMAX_CIFAR10[name]
