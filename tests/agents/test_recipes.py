"""Recipes that sets carry: what training has to take from them."""

from dataclasses import replace

import pytest
from made import picture_set

from roadstill.agents import AgentConfig
from roadstill.agents.recipes import following, recipe_of
from roadstill.errors import UserError


def with_recipe(folder, **recipe):
    return replace(picture_set(folder, 2), about={"recipe": recipe})


def test_an_augmentation_is_needed_if_the_set_tells_one(tmp_path):
    images = with_recipe(tmp_path / "set", protocol="mtt", augment="dsa", learning_rate=0.02)
    needs = {"labels": "hard", "optimiser": "sgd", "learning_rate": 0.02, "augment": "dsa"}
    assert recipe_of(images).needs == needs
    assert str(recipe_of(images)) == "labels hard, optimiser sgd, learning_rate 0.02, augment dsa (protocol mtt)"
    own = AgentConfig("convnet", optimiser="sgd", learning_rate=0.02)
    with pytest.raises(UserError, match=r"to be trained on with augment dsa \(protocol mtt\); set agent\.recipe"):
        following(own, images)
    assert following(replace(own, recipe="apply"), images).augment == "dsa"
    assert following(replace(own, recipe="ignore"), images).augment == "none"
    assert following(replace(own, augment="dsa"), images).recipe == "require"


def test_without_one_any_will_do(tmp_path):
    images = with_recipe(tmp_path / "set", protocol="dsa")
    assert recipe_of(images).needs == {"labels": "hard"}
    assert following(AgentConfig("convnet", augment="flip_crop"), images).augment == "flip_crop"


@pytest.mark.parametrize("recipe", [{}, {"protocol": 1}, {"protocol": "a", "augment": "all"}])
def test_a_damaged_recipe_is_named(recipe, tmp_path):
    with pytest.raises(UserError, match=r"set\.json, recipe.*; make the set again"):
        recipe_of(with_recipe(tmp_path / "set", **recipe))
