import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from roadstill.errors import UserError
from roadstill.runs import (
    check_groups,
    group,
    grouped_name,
    later,
    plain,
    regrouped,
)


@dataclass
class Config:
    steps: int
    where: Path


@dataclass
class Other:
    steps: int
    where: Path


def test_plain_keeps_the_type_of_a_dataclass():
    assert plain({"config": Config(3, Path("a/b")), "pair": (1, None)}) == {
        "config": {"type": "Config", "steps": 3, "where": "a/b"},
        "pair": [1, None],
    }
    assert plain(json.dumps) == "json.dumps"


@dataclass(frozen=True)
class Average:
    mode: str = "on"
    decay: float = 0.9
    late: int = later(0)


@dataclass(frozen=True)
class Grouped:
    steps: int = 5
    ema: Average = group(Average(), mode="ema", decay="ema_decay")


@dataclass(frozen=True)
class Flattened:
    ema: Average = group(Average())


@dataclass(frozen=True)
class Flat:
    steps: int = 5
    ema: str = "on"
    ema_decay: float = 0.9


def test_settings_in_groups_are_recorded_as_before_they_were_grouped():
    assert plain(Grouped()) == plain(Flat()) | {"type": "Grouped"}
    assert plain(Grouped(ema=Average(decay=0.5, late=2)))["late"] == 2
    assert plain(Grouped(), grouped=True)["ema"] == {"type": "Average", "mode": "on", "decay": 0.9, "late": 0}


def test_settings_are_read_with_and_without_their_group():
    for given in ({"ema": "off", "ema_decay": 0.5}, {"ema": {"mode": "off"}, "ema_decay": 0.5}):
        assert regrouped(Grouped, given | {"steps": 1}) == {"steps": 1, "ema": {"mode": "off", "decay": 0.5}}
    assert regrouped(Grouped, {"steps": 1, "other": 2}) == {"steps": 1, "other": 2}
    with pytest.raises(UserError, match=r"^ema.decay is given twice, once without its group; leave one out$"):
        regrouped(Grouped, {"ema_decay": 0.5, "ema": {"decay": 0.6}})


def test_null_groups_are_left_out():
    assert regrouped(Grouped, {"ema": None, "steps": 1}) == {"steps": 1}
    assert regrouped(Grouped, {"ema": None, "ema_decay": 0.5}) == {"ema": {"decay": 0.5}}
    with pytest.raises(UserError, match=r"^ema is 3; it holds settings by name: mode, decay, late$"):
        regrouped(Flattened, {"ema": 3})


def test_a_group_of_another_type_is_refused_at_once():
    check_groups(Grouped())
    with pytest.raises(UserError, match=r"^ema is 'off'; give a Average, as ema=Average\(...\)$"):
        check_groups(Grouped(ema="off"))


def test_the_name_that_a_setting_has_now():
    names = {"ema": "ema.mode", "ema_decay": "ema.decay", "steps": "steps", "ema.decay": "ema.decay", "x": "x"}
    assert {name: grouped_name(Grouped, name) for name in names} == names
    assert grouped_name(Grouped, "ema", is_group=True) == "ema"
