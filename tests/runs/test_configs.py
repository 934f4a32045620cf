"""Settings: read from records, and within the ranges of their names, in every dataclass of settings."""

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import get_type_hints

import pytest

from roadstill.adapters import LoRA
from roadstill.agents import AgentConfig
from roadstill.cli import VERBS, verb_function
from roadstill.codecs import CodecConfig
from roadstill.codecs.config import CodecTraining
from roadstill.denoisers.base import Sampling, SolverNoise, TeacherGuidance
from roadstill.distil.declared import PtConfig
from roadstill.distil.experts import ExpertTraining
from roadstill.distil.refine import Refinement
from roadstill.driving.plan import Driver
from roadstill.errors import UserError
from roadstill.frames.filters import FrameFilter, SceneFilter
from roadstill.frames.labels import BrakeLabel
from roadstill.generator.config import (
    Alignment,
    Attributes,
    Consistency,
    EDMTraining,
    Ema,
    FinetuneConfig,
    Labels,
    Minimax,
    Term,
)
from roadstill.names import dataclasses_within
from roadstill.networks.kinds import NetworkConfig, SongUNetConfig, UNet2DConfig
from roadstill.runs import Range, check_ranges, config_of, group, plain
from roadstill.sources.csv.config import CsvConfig

CONFIGS = [
    BrakeLabel(),
    Driver(),
    FrameFilter(),
    SceneFilter(),
    AgentConfig(), Alignment(), Attributes(), CodecConfig(), CodecTraining(), Consistency(), EDMTraining(), Ema(),
    ExpertTraining(), FinetuneConfig(),
    Labels(), LoRA(), Minimax(), NetworkConfig(), PtConfig(), Refinement(), Sampling(), SolverNoise(), SongUNetConfig(),
    TeacherGuidance(), Term(1.0), UNet2DConfig(),
]  # fmt: skip
# Those that are None by default.
OPTIONAL = {"image_px": 64, "epochs": 3, "clip": 1.0, "min_snr": 5.0, "guided_channels": 3, "t_max": 10, "alpha": 8.0}
OPTIONAL |= {"rows": (0, 1), "steps": 5, "guidance": 2.0, "learning_rate": 0.01, "patches": 2, "which": 0}


def test_no_dataclass_of_settings_of_any_verb_is_left_out():
    hints = [hint for verb in VERBS for hint in get_type_hints(verb_function(verb)).values()]
    kinds = {kind for hint in hints for kind in dataclasses_within(hint)}
    assert kinds - {type(config) for config in CONFIGS} == {CsvConfig}  # which checks its ranges itself


def numbers():
    """Every setting that is a number, or a tuple of numbers, of every dataclass of settings."""
    for config in CONFIGS:
        for each in fields(config):
            value = getattr(config, each.name)
            value = OPTIONAL.get(each.name) if value is None else value
            first = value[0] if isinstance(value, tuple) and value else value
            if isinstance(first, (int, float)) and not isinstance(first, bool):
                yield pytest.param(config, each.name, value, id=f"{type(config).__name__}-{each.name}")


@pytest.mark.parametrize(("config", "name", "value"), list(numbers()))
def test_no_setting_is_nan_infinite_or_beyond_all_bounds(config, name, value):
    for wrong in (math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e31):
        given = (wrong, *value[1:]) if isinstance(value, tuple) else wrong
        with pytest.raises(UserError, match=rf"{name} is .*; it must be"):
            replace(config, **{name: given})


@pytest.mark.parametrize(("config", "name", "value"), list(numbers()))
def test_no_setting_is_negative_but_a_seed_or_a_weight(config, name, value):
    given = (-1, *value[1:]) if isinstance(value, tuple) else -1
    if name in ("seed", "threshold_mps2") or isinstance(config, Term):
        replace(config, **{name: given})
    else:
        with pytest.raises(UserError, match=rf"{name} is .*; it must be"):
            replace(config, **{name: given})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: AgentConfig(steps=0), "steps is 0; it must be a whole number, at least 1"),
        (lambda: AgentConfig(steps=2.5), "steps is 2.5; it must be a whole number"),
        (lambda: AgentConfig(decay_at=(0.5,), decay=0), "decay is 0; it must be above 0 and at most 1"),
        (lambda: AgentConfig(image_px=1_000_000), "image_px is 1000000; it must be .* at most 4,096"),
        (lambda: FinetuneConfig(batch_size=10**12), "batch_size is 1000000000000; .* at most 1,000,000"),
        (lambda: FinetuneConfig(criteria={"a.b": math.nan}), "criteria, weight is nan"),
        (lambda: Ema(decay=1.5), "ema.decay is 1.5; it must be at least 0 and at most 1"),
        (lambda: Labels(dropout=2), "labels.dropout is 2"),
        (lambda: Sampling(strength=0), "strength is 0; it must be above 0"),
        (lambda: SolverNoise(churn_sigma=(0.1, math.nan)), r"noise.churn_sigma is \[0.1, nan\]"),
        (lambda: NetworkConfig(depth=0), "depth is 0"),
        (lambda: CodecConfig(encoder_blocks=(), decoder_blocks=()), "same number of levels, 1 to 8"),
        (lambda: CodecConfig(encoder_blocks=(1,)), "same number of levels"),
        (lambda: LoRA(rank=0), "rank is 0"),
    ],
)
def test_the_line_names_setting_value_and_range(change, message):
    with pytest.raises(UserError, match=message):
        change()


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0


@dataclass(frozen=True)
class Outer:
    steps: int = 10
    inner: Inner = group(Inner(), rate="inner_rate")
    path: Path | None = None

    def __post_init__(self) -> None:
        check_ranges(self)


def test_a_range_says_what_it_holds():
    assert str(Range(0, 1, above=True, below=True)) == "above 0 and below 1"
    assert str(Range(1, 2000, whole=True)) == "a whole number, at least 1 and at most 2,000"
    assert [Range(0, 1).holds(value) for value in (0, 1, -1e-9, math.nan)] == [True, True, False, False]
    check_ranges(Outer(steps=3), steps=Range(3, 3))
    with pytest.raises(UserError, match=r"a\.steps is 4"):
        check_ranges(Outer(steps=4), "a.", steps=Range(3, 3))


def test_settings_come_back_from_a_record_flat_or_in_groups():
    made = Outer(20, Inner(2.0))
    assert config_of(Outer, plain(made), "file", "make it again") == made
    assert config_of(Outer, {"steps": 20, "inner": {"rate": 2.0}}, "file", "make it again") == made
    assert config_of(Outer, {"path": Path("a")}, "file", "make it again").path == Path("a")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "^file: Expected `object`, got `array`; make it again"),
        ({"stps": 1}, "^file has the setting stps, which this version does not know; make it again"),
        ({"steps": "1"}, "^file, steps: Expected `int`, got `str`; make it again"),
        ({"steps": 0}, "^file: steps is 0; it must be .*; make it again"),
        ({"inner": 3}, "^file: inner is 3; it holds settings by name: rate; make it again"),
        ({"inner_rate": None}, "^file, inner.rate: Expected `float`, got `null`"),
        ({1: 2}, "file"),
    ],
)
def test_a_record_that_does_not_fit_is_one_line(value, message):
    with pytest.raises(UserError, match=message) as caught:
        config_of(Outer, value, "file", "make it again")
    assert "\n" not in str(caught.value)
