"""Which towns, light and weather belong to which group of drives."""

import random

import pytest

from roadstill.world.groups import CONFIRM_TOWNS, DEMO_TOWNS, PRETRAIN_TOWNS, WORLD_GROUPS
from roadstill.world.places import LOCATIONS
from roadstill.world.scene import LIGHTS, WEATHERS
from roadstill.world.towns import TOWNS


def test_groups_share_no_town_and_few_skies():
    assert not set(DEMO_TOWNS) & set(PRETRAIN_TOWNS)
    assert not set(CONFIRM_TOWNS) & {*DEMO_TOWNS, *PRETRAIN_TOWNS}
    assert len(TOWNS) >= 12
    assert {town.location for town in TOWNS.values()} <= set(LOCATIONS)
    demo, pretrain = WORLD_GROUPS["demo"].skies, WORLD_GROUPS["pretrain"].skies
    for skies in (demo, pretrain):
        assert sum(skies.values()) == pytest.approx(1.0)
        assert all(light in LIGHTS and weather in WEATHERS for light, weather in skies)
    assert sum(min(demo[sky], pretrain[sky]) for sky in demo.keys() & pretrain.keys()) < 0.3


def test_a_round_has_every_town_once_and_every_location_first():
    group, orders = WORLD_GROUPS["demo"], set()
    for seed in range(8):
        towns = group.round_of_towns(random.Random(seed))
        assert sorted(towns) == sorted(DEMO_TOWNS)
        assert {TOWNS[town].location for town in towns[:4]} == set(LOCATIONS)
        orders.add(tuple(towns))
    assert len(orders) > 4
