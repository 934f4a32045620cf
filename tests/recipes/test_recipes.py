"""Reading recipes: likeness, sizes, shared fine-tunings, budgets, and mistakes in one line."""

import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from roadstill import trusting
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
        (TWO.replace("label: y", "label: y, refine: {looks: 1}") + "judged_on: dev\n", "refine.looks chooses on a dev"),
        (TWO.replace("label: y", "label: y, refine: {networks: [lite]}"), "agent network 'lite' is unknown"),
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


def test_an_arm_with_images_per_class_of_its_own_is_made_at_that_budget_alone():
    arms = {"all": Arm("random", "x"), "one": Arm("s3", "y", per_class=5)}
    assert list(at_budgets(Recipe("r", arms, budgets=(1, 5), baseline="all")).arms) == ["all@1", "all@5", "one@5"]
    with pytest.raises(UserError, match=r"arm 'one': per_class is 5, and budgets are \[1\]; take one of them"):
        at_budgets(Recipe("r", arms, budgets=(1,), baseline="all"))


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
    path.write_text(f'{ARMS}hook: roadstill.data.privacy.BlurBoxes\nhook_settings: {{mode: "001", way: "off"}}\n')
    assert read_recipe(str(path)).hook_settings == {"mode": "001", "way": "off"}


# ---- code and models that a recipe names

NAME = "inert_module.thing"
GENERATED = "arms: {random: {kind: random, label: r}, own: {kind: generated, label: g, finetune: {%s}}}\n"
TWO_ARMS = "arms: {random: {kind: random, label: r}, own: {label: o, %s}}\n"
CODE = {
    "kind": TWO_ARMS % "kind: inert_module.thing",
    "kind after distinct": TWO_ARMS % "kind: 'distinct:inert_module.thing'",
    "start": TWO_ARMS % "kind: generated, start: inert_module.thing",
    "choose": TWO_ARMS % "kind: generated, choose: inert_module.thing, candidates: 2",
    "source": "source: inert_module.thing\n",
    "hook": "hook: inert_module.thing\n",
    "schedule": GENERATED % "schedule: inert_module.thing",
    "criterion": GENERATED % "criteria: {inert_module.thing: 1}",
    "criterion with settings": GENERATED % "criteria: {inert_module.thing: {weight: 1, settings: {a: 1}}}",
    "network": "agent: {network: inert_module.thing}\n",
    "network of the full agent": "full_agent: {network: inert_module.thing}\n",
    "network of another agent": "others: {more: {network: inert_module.thing}}\n",
}  # fmt: skip


@pytest.fixture
def inert(tmp_path, monkeypatch):
    """``inert()``: whether the module ``inert_module``, which can be found, was imported since the last call."""
    mark = tmp_path / "mark"
    lines = [f"open({str(mark)!r}, 'w').close()", "import torch", "def thing(*_):", "    return torch.full((9,), 0.1)"]
    (tmp_path / "inert_module.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)

    def ran():
        sys.modules.pop("inert_module", None)
        found = mark.exists()
        mark.unlink(missing_ok=True)
        return found

    yield ran
    sys.modules.pop("inert_module", None)


@pytest.mark.parametrize("place", CODE)
def test_code_that_a_recipe_names_is_imported_with_trust_only(place, write, inert):
    path = write(
        f"name: mine\n{CODE[place]}" + ("" if "arms" in CODE[place] else "arms: {random: {kind: random, label: r}}\n")
    )
    with pytest.raises(UserError) as refused:
        read_recipe(path)
    assert str(refused.value).startswith(f"{path}: "), refused.value
    assert f"{NAME!r} is not one of roadstill's own; importing it runs its code, so add --trust" in str(refused.value)
    assert not inert()
    with trusting():
        read_recipe(path)
    assert inert()
    again = write(f"like: {path}\n", "again")  # and through another one
    with pytest.raises(UserError, match="add --trust"):
        read_recipe(again)
    assert not inert()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("os.system", "is not one of roadstill's own"),
        ("roadstill.cli.main", "is not one of roadstill's own"),
        ("roadstill.distil.refine.refine", "is not one of roadstill's own"),
        ("roadstill.recipes.reading.read_yaml", "is not one of roadstill's own"),
        ("roadstill.runs.files.os.system", "No module named"),
    ],
)
@pytest.mark.parametrize("place", CODE)
def test_a_recipe_reaches_nothing_but_what_serves_the_place(place, path, why, write):
    text = CODE[place].replace(NAME, path)
    path = write(f"name: mine\n{text}" + ("" if "arms" in text else "arms: {random: {kind: random, label: r}}\n"))
    with pytest.raises(UserError, match=why):
        read_recipe(path)


def test_what_the_package_ships_needs_no_trust_by_its_dotted_path(write):
    path = write(
        "name: mine\nhook: roadstill.data.privacy.BlurBoxes\nsource: roadstill.sources.navsim.source.NavsimSource\n"
        "arms:\n"
        "  random: {kind: roadstill.selection.Random, label: r}\n"
        "  own:\n    kind: generated\n    label: g\n"
        "    finetune: {schedule: roadstill.schedules.cosine, criteria: {roadstill.criteria.Diversity: 1}}\n"
    )
    assert read_recipe(path).arms["random"].kind == "roadstill.selection.Random"


@pytest.mark.parametrize(
    "part",
    [
        "index: {class_path: PATH}", "world: {class_path: PATH}", "sampling: PATH", "agent: {class_path: PATH}",
        "pretrain: {network: PATH}", "arms: {random: {class_path: PATH}}",
        GENERATED % "adapters: [{class_path: PATH}]", GENERATED % "adapters: [PATH]",
        GENERATED % "network: {class_path: PATH}", GENERATED % "minimax: {class_path: PATH}",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "name", [NAME, "os.system", "roadstill.__main__.main", "roadstill.generator.checkpoints.adapter_of"]
)
def test_class_paths_of_a_recipe_lead_to_classes_of_settings_only(part, name, write, inert):
    given = part.replace("PATH", name)
    path = write(f"name: mine\n{given}\n" + ("" if "arms" in part else "arms: {random: {kind: random, label: r}}\n"))
    for trust in (False, True):
        refused = pytest.raises(UserError, match=rf"class path '{name}' is not one that settings take")
        with trusting() if trust else nullcontext(), refused as error:
            read_recipe(path)
        assert str(error.value).startswith(f"{path}: ")
        assert not inert()


def test_a_tracker_is_trusted_like_code(write):
    path = write("name: mine\n" + GENERATED % "trackers: [tensorboard, wandb]")
    with pytest.raises(UserError, match=r"tracker 'wandb' .* it is imported and may send figures elsewhere"):
        read_recipe(path)
    with trusting():
        assert read_recipe(path).arms["own"].finetune.trackers == ("tensorboard", "wandb")


HUB = {
    "codec": "codec: someone/model\n",
    "decoder": "decoder: someone/model@v2\n",
    "base": "base: someone/model\n",
    "weights": "agent: {network: resnet18, weights: someone/model}\n",
    "network": "full_agent: {network: 'transformers:someone/model'}\n",
    "weights of another agent": "others: {more: {weights: someone/model}}\n",
    "size": "sizes: {toy: {codec: someone/model}}\n",
}


@pytest.mark.parametrize("place", HUB)
def test_a_model_that_a_recipe_names_is_fetched_with_trust_only(place, write, monkeypatch, tmp_path):
    import huggingface_hub

    asked = []

    def snapshot_download(name, revision=None, local_files_only=False, **_):
        asked.append(local_files_only)
        if name != "someone/model" or not (tmp_path / "cache").exists():
            raise OSError("not here")
        return str(tmp_path / "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    path = write(f"name: mine\narms: {{random: {{kind: random, label: r}}}}\n{HUB[place]}")
    with pytest.raises(
        UserError, match=rf"{path}: \w+ 'someone/model(@v2)?' .* it would be fetched from the hub, so add"
    ):
        read_recipe(path)
    with trusting():
        read_recipe(path)
    (tmp_path / "cache").mkdir()
    with pytest.raises(UserError, match="would be fetched"):  # what was broken off is not here
        read_recipe(path)
    (tmp_path / "cache" / "model.safetensors").touch()
    read_recipe(path)
    assert all(asked)


def test_models_that_shipped_recipes_name_need_no_trust(write, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    for name in shipped_recipes():
        read_recipe(name)
    shipped = read_recipe("thesis-table-4.3", "full")
    assert shipped.codec.startswith("stabilityai/")
    assert read_recipe(write("like: thesis-table-4.3\nname: mine\n"), "full").codec == shipped.codec


def test_no_module_is_looked_for_beside_the_recipe(write, inert, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [each for each in sys.path if Path(each or ".") != tmp_path])
    monkeypatch.chdir(tmp_path)
    with trusting(), pytest.raises(UserError, match="No module named 'inert_module'"):
        read_recipe(write("name: mine\narms: {random: {kind: random, label: r}}\nhook: inert_module.thing\n"))


def test_frozen_features_trains_nothing_but_a_head_on_three_networks():
    recipe = read_recipe("frozen-features")
    assert list(recipe.others) == ["lite1", "lite2", "convnet"]
    agents = [recipe.agent_of(other, full=full) for other in (None, "lite1", "lite2") for full in (False, True)]
    assert all(agent.head_only and not agent.freeze and agent.head_init == "zero" for agent in agents)
    assert [agent.network for agent in agents[::2]] == [f"efficientnet-lite{number}" for number in range(3)]
    assert recipe.refiners("medoids-refined") == tuple(agent.network for agent in agents[::2])


def test_an_arm_names_all_networks_that_it_is_refined_with(write):
    recipe = read_recipe(
        write(TWO.replace("label: y", "label: y, refine: {networks: [convnet-3, efficientnet-lite0]}"))
    )
    assert recipe.refiners("random") == ()
    assert recipe.refiners("herding") == ("efficientnet-lite0", "convnet-3")
