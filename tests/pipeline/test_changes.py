"""A run folder takes the recipe that it was begun with, and of another one what adds to the run alone."""

from dataclasses import replace

import pytest
import yaml

from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.generator.config import FinetuneConfig
from roadstill.pipeline.changes import require_unchanged
from roadstill.pipeline.studies import run_study
from roadstill.recipes import Arm, read_recipe
from roadstill.runs import plain


@pytest.fixture
def recipe():
    return read_recipe("demo", "toy")


@pytest.fixture
def begun(tmp_path, recipe):
    """A run folder that was begun with the demo at toy size."""
    return begin(tmp_path / "run", recipe)


def begin(folder, recipe):
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(plain(recipe, grouped=True), sort_keys=False))
    (folder / "world").mkdir()
    (folder / "world" / "world.json").write_text("{}")
    return folder


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_arm(recipe, name, **changes):
    return replace(recipe, arms=recipe.arms | {name: replace(recipe.arms[name], **changes)})


def test_what_adds_to_a_run_or_is_of_its_comparisons_may_change(begun, recipe, tmp_path):
    for other in (
        recipe,
        replace(recipe, seeds=4),
        replace(recipe, name="x", thesis={}, baseline="base", cluster_by="drive", judged_on="dev"),
        with_arm(recipe, "base", label="new", seeds=5),
        replace(recipe, arms=recipe.arms | {"more": Arm("herding", "more")}),
        replace(recipe, arms={name: arm for name, arm in recipe.arms.items() if name != "full"}),
        replace(recipe, others={"tall": {"steps": 9}}),
    ):
        require_unchanged(other, begun)
    require_unchanged(recipe, tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: replace(r, per_class=3), "per_class: 2, now 3"),
        (lambda r: replace(r, world=replace(r.world, drives=48)), "world.drives: 6, now 48"),
        (lambda r: replace(r, data="logs"), "data: none, now logs"),
        (
            lambda r: with_arm(r, "difffit-lora", finetune=FinetuneConfig(steps=5)),
            "finetune.steps: 3, now 5 and 5 more",
        ),
        (lambda r: with_arm(r, "base", kind="random"), "arms.base.kind: generated, now random"),
        (lambda r: replace(r, agent=replace(r.agent, steps=4)), "agent.steps: 3, now 4"),
        (lambda r: replace(r, looks=3), "looks: 1, now 3"),
    ],
)
def test_everything_else_is_refused_with_both_ways_out(begun, recipe, change, said):
    with pytest.raises(UserError, match=rf"{said}.*; name another folder with --out, or take the settings of .*yaml$"):
        require_unchanged(change(recipe), begun)


@pytest.mark.parametrize("words", [("demo",), ("run", "demo"), ("run", "demo", "--size", "full")])
def test_another_size_leaves_a_run_folder_untouched(begun, capsys, words):
    """Fault 5: the world, the index and the sets were replaced, and only then came the refusal."""
    before = files(begun)
    assert main([*words, "--out", str(begun)]) == 2
    line = capsys.readouterr().err
    assert "was begun with other settings (max_per_class: 4, now" in line
    assert len(line.splitlines()) == 1
    assert files(begun) == before
    assert [path.name for path in begun.parent.iterdir()] == [begun.name]


def test_a_study_is_refused_before_its_first_recipe_is_run(tmp_path, recipe):
    changed = replace(recipe, name="second", per_class=3)
    begin(tmp_path / "study" / "second", replace(changed, per_class=2))
    before = files(tmp_path)
    with pytest.raises(UserError, match="second was begun with other settings"):
        run_study([replace(recipe, name="first"), changed], tmp_path / "study")
    assert files(tmp_path) == before
    assert not (tmp_path / "study" / "first").exists()


def test_a_recipe_that_cannot_be_read_is_refused_too(begun, recipe):
    (begun / "recipe.yaml").write_text("name: [")
    with pytest.raises(UserError, match=r"recipe.yaml cannot be read.*: name another folder with --out"):
        require_unchanged(recipe, begun)
