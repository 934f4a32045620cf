"""Drawing: what the page shows is byte for byte what `roadstill generate` writes by the command beside it."""

import shlex

import pytest
from made import picture_set
from made_app import add_base

from roadstill.app import play
from roadstill.app.play import Source, Wish, command_of, draw_pictures, open_source, sources_of
from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.imagesets import open_imageset
from roadstill.names import Untrusted


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a base, which knows attributes, and one checkpoint on top of it."""
    folder = tmp_path_factory.mktemp("play") / "run"
    picture_set(folder / "sets" / "train", 8, px=8)
    base = add_base(folder)
    words = ["encode", folder / "sets" / "train", folder / "encode", "--codec", "pixels"]
    assert main([str(word) for word in words]) == 0
    tuned = folder / "finetune" / "tuned"
    words = ["finetune", folder / "encode", tuned, "--base", base, "--tuning.steps", 2, "--tuning.batch_size", 4]
    assert main([str(word) for word in words]) == 0
    return folder


def source(run, label):
    return next(each for each in sources_of(run) if each.label == label)


def test_a_run_has_its_fine_tuned_generators_and_their_base(run):
    assert [each.label for each in sources_of(run)] == ["Tuned", "Base, before fine-tuning"]
    assert source(run, "Tuned").path == run / "finetune" / "tuned"
    assert [each.codec.name for each in sources_of(run) if each.codec] == ["pixels", "pixels"]


def test_a_run_without_recipe_has_the_shipped_base(tmp_path):
    assert sources_of(tmp_path) == [Source("Base, before fine-tuning")]


def test_a_base_that_the_run_trains_is_missing_until_it_is_there(tmp_path):
    (tmp_path / "recipe.yaml").write_text("pretrain: {steps: 3}\n")
    assert sources_of(tmp_path) == []
    (tmp_path / "pretrain").mkdir()
    (tmp_path / "pretrain" / "trained.safetensors").touch()
    assert [each.path for each in sources_of(tmp_path)] == [tmp_path / "pretrain"]


@pytest.mark.parametrize(
    ("recipe", "error", "says"),
    [
        ("base: somebody/model-that-is-not-here\n", Untrusted, "fetched from the hub"),
        ("codec: somebody/codec-that-is-not-here\n", Untrusted, "fetched from the hub"),
        ("base: [1]\n", UserError, "base is '\\[1\\]'; it should be a text"),
        ("base: [\n", UserError, "recipe.yaml"),
    ],
)
def test_nothing_is_fetched_because_a_file_says_so(tmp_path, recipe, error, says):
    (tmp_path / "recipe.yaml").write_text(recipe)
    with pytest.raises(error, match=says):
        sources_of(tmp_path)


WISHES = [
    Wish(label=1, count=3, seed=5, steps=2),
    Wish(label=0, count=2, guidance=1.5, steps=3, solver="ddim", which="trained"),
    Wish(label=1, count=2, steps=2, schedule="spoon_cosine:2", where={"weather": "rain", "light": "night"}),
]


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("label", ["Tuned", "Base, before fine-tuning"])
def test_the_command_draws_the_same_bytes(run, tmp_path, monkeypatch, wish, label):
    chosen = source(run, label)
    if label != "Tuned":
        wish = Wish(**{**vars(wish), "which": "ema"})
    drawn = draw_pictures(chosen, wish)
    monkeypatch.chdir(run.parent)
    names = ("not_brake", "brake")
    command = command_of(chosen, wish, names, known=True, run=run, typed=run.relative_to(run.parent))
    words = shlex.split(command)
    assert words[:3] == ["roadstill", "generate", "OUT"]
    assert main(["generate", str(tmp_path / "made"), *words[3:]]) == 0
    images = open_imageset(tmp_path / "made")
    rows = [row for row in range(len(images)) if images.labels[row] == wish.label]
    assert [each.png for each in drawn] == [images.picture_bytes(row) for row in rows]
    assert [each.seed for each in drawn] == [images.facts[row]["seed"] for row in rows]
    facts = images.facts[rows[0]]
    told = dict(drawn[0].facts)
    assert (told["guidance"], told["steps"]) == (f"{facts['guidance']:g}", str(facts["steps"]))
    assert (told["solver"], told["checkpoint"]) == (facts["solver"], facts["checkpoint"])
    assert {name: told[name] for name in wish.where} == {name: facts[name] for name in wish.where}


def test_a_picture_depends_on_seed_and_number_alone(run):
    base = source(run, "Base, before fine-tuning")
    four = draw_pictures(base, Wish(count=4, seed=1, steps=2))
    assert draw_pictures(base, Wish(count=2, seed=1, steps=2)) == four[:2]
    assert draw_pictures(base, Wish(count=2, seed=2, steps=2))[0].png != four[0].png


def test_paths_of_the_run_are_told_as_the_user_typed_them(run, tmp_path):
    tuned = source(run, "Tuned")
    said = command_of(tuned, Wish(), ("not_brake", "brake"), known=True, run=run, typed=tmp_path.relative_to("/"))
    assert str(run) not in said
    assert f"--checkpoint {tmp_path.relative_to('/')}/finetune/tuned" in said
    assert "--codec pixels --per_class 4 --seed 0" in said


def test_the_command_names_classes_that_the_generator_does_not_know(tmp_path):
    plain = Source("Base", class_names=("cat", "dog"))
    assert "--class_names cat dog" in command_of(
        plain, Wish(), ("cat", "dog"), known=False, run=tmp_path, typed=tmp_path
    )
    assert "--class_names" not in command_of(plain, Wish(), ("cat", "dog"), known=True, run=tmp_path, typed=tmp_path)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"count": 17}, "count is 17; the page draws with 1 to 16"),
        ({"count": 0}, "count is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"steps": 251}, "steps is 251; the page draws with 1 to 250"),
        ({"guidance": float("nan")}, "guidance is nan"),
        ({"guidance": 21.0}, "guidance is 21.0; the page draws with 0 to 20"),
    ],
)
def test_what_one_may_wish_for_is_bounded(wish, says):
    with pytest.raises(UserError, match=says):
        Wish(**wish)


def test_a_class_that_is_not_there_is_named(run):
    with pytest.raises(UserError, match="class 2 is asked for, but this generator has 2"):
        draw_pictures(source(run, "Base, before fine-tuning"), Wish(label=2, steps=2))


def test_progress_is_told_and_can_end_the_drawing(run):
    base, shares = source(run, "Base, before fine-tuning"), []
    draw_pictures(base, Wish(count=1, steps=4), tick=shares.append)
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert 0.5 < shares[-1] <= 1

    def stop(share):
        if share > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_pictures(base, Wish(count=1, steps=4), tick=stop)
    assert not open_source(base)[0].network._forward_pre_hooks
    play.wait_for_drawing(0.1)
    assert len(draw_pictures(base, Wish(count=1, steps=2))) == 1


def test_a_checkpoint_that_was_trained_on_is_opened_anew(run):
    tuned = source(run, "Tuned")
    before = open_source(tuned)[0]
    assert open_source(tuned)[0] is before
    path = run / "finetune" / "tuned" / "config.json"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\n")
    try:
        assert open_source(tuned)[0] is not before
    finally:
        path.write_bytes(whole)
