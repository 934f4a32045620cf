"""A study at toy size: every shipped recipe parses at every size it has, and one runs through."""

import json

import pytest

from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.pipeline.studies import recipes_of
from roadstill.recipes import at_budgets, read_recipe, recipe_sizes, shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_recipes_parse_at_every_size(name):
    sizes = recipe_sizes(name)
    assert "toy" in sizes
    for size in sizes if "small" in sizes else (None, *sizes):
        recipe = read_recipe(name, size)
        assert recipe.baseline in {arm.partition("@")[0] for arm in recipe.arms}
        known = {arm.partition("@")[0] for arm in recipe.arms}
        assert {arm.partition("@")[0] for arm in recipe.thesis} <= known | {"majority"}, (
            "figures of the thesis beside no arm"
        )


def test_a_size_that_a_recipe_like_another_one_does_not_want_is_none():
    assert recipe_sizes("cifar10-minimax-grid") == ["toy", "small"]
    with pytest.raises(UserError, match=r"no size 'full'; it has toy, small$"):
        read_recipe("cifar10-minimax-grid", "full")


def test_a_study_makes_one_table_and_goes_on_where_it_stopped(tmp_path, capsys):
    out, less = tmp_path / "study", tmp_path / "less.yaml"
    less.write_text(
        "like: thesis-table-4.3\narms: {difffit: null, lora: null, difffit-lora: null, difffit-lora-scos: null}\n"
    )
    call = ["study", str(less), "--size", "toy", "--out", str(out), "--workers", "1"]
    assert main(call) == 0
    told = capsys.readouterr().out
    assert "### thesis-table-4.3, 1 images per class" in told
    assert "Protocol honest (" in told
    assert "synthetic pictures of the built-in world" in told
    assert "| 90.78 |" in told
    rows = json.loads((out / "study.json").read_text())["rows"]
    assert {row["per_class"] for row in rows} == {1, 2, None}
    assert {row["word"] for row in rows if row["arm"] == "full"} == {"bound"}
    assert {row["thesis"] for row in rows if row["arm"] == "random"} == {""}  # it has none at these budgets
    assert sorted(path.name for path in out.iterdir()) == [
        "study.json", "study.md", "thesis-table-4.3", "thesis-table-4.3-1.svg", "thesis-table-4.3-2.svg",
    ]  # fmt: skip
    assert "var(--" not in (out / "thesis-table-4.3-2.svg").read_text()
    before = (out / "study.json").read_bytes()
    assert main(call) == 0
    assert "agent-" not in capsys.readouterr().err  # nothing is trained again
    assert (out / "study.json").read_bytes() == before


def test_studies_are_found_by_the_beginning_of_their_names(capsys):
    assert [recipe.name for recipe in recipes_of("thesis-table-4.3")] == ["thesis-table-4.3"]
    rows = recipes_of("thesis-table-4.2")
    assert [row.name.removeprefix("thesis-table-4.2-") for row in rows] == [
        "accel", "accel-64", "accel-speed", "accel-speed-64", "all", "all-64",
    ]  # fmt: skip
    assert [row.index.filter.min_speed_mps for row in rows] == [None, None, 3.0, 3.0, None, None]
    assert [row.image_px for row in recipes_of("thesis-table-4.2", "full")] == [256, 64] * 3
    assert len(recipes_of("thesis-figure-4.3")[0].arms) == 2 * 15 + 1
    assert main(["study", "thesis-table-9"]) == 2
    assert "there is no study 'thesis-table-9'" in capsys.readouterr().err


def test_budgets_share_what_is_fine_tuned():
    recipe = read_recipe("thesis-table-4.3", "small")
    assert at_budgets(recipe) == recipe
    assert recipe.arms["difffit@250"].of == "difffit@10"
    assert recipe.arms["difffit@250"].finetune is None
    assert recipe.arms["full"].per_class is None
