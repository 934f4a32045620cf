"""Reading recipes: likeness, sizes, shared fine-tunings, budgets, and mistakes in one line."""

import pytest

from roadstill.agents import AgentConfig
from roadstill.errors import UserError
from roadstill.generator.config import Ema, Minimax
from roadstill.recipes import Arm, Recipe, at_budgets, read_recipe, recipe_sizes, shipped_recipes
from roadstill.runs import digest_of, plain


@pytest.fixture
def write(tmp_path):
    def write_recipe(text, name="mine"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return str(path)

    return write_recipe


TWO = """
name: mine
arms:
  random: {kind: random, label: x}
  herding: {kind: herding, label: y}
sizes:
  toy: {per_class: 2}
  small: null
"""


def test_a_recipe_like_another_holds_what_differs(write):
    write(TWO)
    path = write(f"like: {write(TWO)}\nname: other\narms: {{herding: null}}\nsizes: {{toy: {{seeds: 4}}}}\n", "other")
    recipe = read_recipe(path, "toy")
    assert (recipe.name, list(recipe.arms), recipe.per_class, recipe.seeds) == ("other", ["random"], 2, 4)
    assert recipe_sizes(path) == ["toy"]
    assert read_recipe(path, per_class=9).per_class == 9


def test_what_all_fine_tunings_share_lies_under_each_arms_own(write):
    recipe = read_recipe(
        write("""
name: mine
finetune: {steps: 7, batch_size: 3}
arms:
  random: {kind: random, label: x}
  tuned: {kind: generated, label: y, finetune: {steps: 9}}
""")
    )
    assert (recipe.arms["tuned"].finetune.steps, recipe.arms["tuned"].finetune.batch_size) == (9, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: [", "cannot be read as YAML"),
        ("[]", "holds no recipe"),
        (TWO.replace("kind: herding", "kind: herding, lable: z"), "lable"),
        (TWO + "seeds: 2\n", "seeds is 2; a verdict needs at least 3"),
        (TWO + "baseline: best\n", "baseline 'best' is not one of the arms random, herding"),
        (TWO + "judged_on: dev\nprotocol: thesis\n", "has no dev part to judge on"),
        (TWO.replace("kind: herding", "kind: generated, of: random"), "'random', which is no arm with a fine-tuning"),
    ],
)
def test_mistakes_are_one_line(write, text, says):
    with pytest.raises(UserError, match=says) as caught:
        read_recipe(write(text))
    assert "\n" not in str(caught.value)


def test_sizes_and_names_that_are_none_list_those_that_are(write):
    with pytest.raises(UserError, match="has no size 'full'; it has toy"):
        read_recipe(write(TWO), "full")
    with pytest.raises(UserError, match="there is no recipe 'nothing'; give a YAML file or one of baselines"):
        read_recipe("nothing")
    path = write("")
    write(f"like: {path}\nname: x\n")
    with pytest.raises(UserError, match="is like a recipe that is like a recipe"):
        read_recipe(path)


def test_budgets_multiply_small_arms_and_keep_their_settings():
    arms = {"few": Arm("s3", "x", settings={"groups": 9}), "full": Arm("full", "y")}
    recipe = at_budgets(Recipe("r", arms, budgets=(1, 5), baseline="few"))
    assert list(recipe.arms) == ["few@1", "few@5", "full"]
    assert [arm.per_class for arm in recipe.arms.values()] == [1, 5, None]
    assert recipe.arms["few@5"].settings == {"groups": 9}


def test_settings_leave_the_digests_of_arms_without_any_as_they_were():
    assert digest_of(Arm("random", "x")) == "2c78d6f0e91ddaf4"
    assert plain(Arm("s3", "x", settings={"groups": 9}))["settings"] == {"groups": 9}


def test_every_shipped_recipe_is_found_by_name():
    assert "demo" in shipped_recipes()
    assert read_recipe("demo").arms["random"].kind == "random"


ARMS = "name: m\nseeds: 3\narms:\n  random: {kind: random, label: r}\n"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("  s: {kind: generated, label: s, finetune: {label_init: meann}}", "arms.s.finetune: labels.init is 'meann'"),
        ("  s: {kind: generated, label: s, finetune: {minimax: {memory: 3}}}", "arms.s.finetune: .* 'minimax.memory'"),
        ("  s: {kind: generated, label: s, finetune: {labels: [1, 0]}}", "labels is .1, 0.; it holds settings by name"),
        ("sampling: {teacher: 0.2}", "teacher is 0.2; it holds settings by name: guidance, interval"),
        ("sizes: x", "sizes is 'x'; it should be a mapping"),
        ("finetune: [1]", "finetune is '.1.'; it should be a mapping"),
    ],
)
def test_wrong_settings_are_named_in_one_line(tmp_path, more, says):
    path = tmp_path / "r.yaml"
    path.write_text(f"{ARMS}{more}\n")
    with pytest.raises(UserError, match=f"r.yaml: {says}") as refused:
        read_recipe(str(path))
    assert "\n" not in str(refused.value)
    assert "<class" not in str(refused.value)


def test_what_is_null_is_as_usual(tmp_path):
    path = tmp_path / "r.yaml"
    arm = "  s: {kind: generated, label: s, finetune: {minimax: null, ema: off, diversity: 0.5}}"
    path.write_text(f"{ARMS}{arm}\nagent: null\nworld: null\nsampling: {{noise: null}}\n")
    recipe = read_recipe(str(path))
    assert recipe.agent == AgentConfig()
    assert (recipe.arms["s"].finetune.minimax, recipe.arms["s"].finetune.ema) == (Minimax(diversity=0.5), Ema("off"))


def test_texts_of_settings_stay_texts(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(f'{ARMS}hook: my.hook\nhook_settings: {{mode: "001", way: "off"}}\n')
    assert read_recipe(str(path)).hook_settings == {"mode": "001", "way": "off"}
