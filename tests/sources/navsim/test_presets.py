import pytest
import yaml

from roadstill.errors import UserError
from roadstill.frames.filters import SceneFilter
from roadstill.sources.navsim.presets import PRESETS, chosen_scenes, preset_of, read_names

FILTER = {
    "_target_": "navsim.common.dataclasses.SceneFilter",
    "_convert_": "all",
    "num_history_frames": 4,
    "num_future_frames": 10,
    "frame_interval": 1,
    "has_route": True,
    "max_scenes": None,
    "log_names": ["log_a", "log_b", "log_c"],
    "tokens": ["00ff", "11ee"],
}


@pytest.fixture
def checkout(tmp_path):
    """A navsim checkout as far as presets look at it."""
    deep = tmp_path / "navsim" / "planning" / "script" / "config"
    filters = deep / "common" / "train_test_split" / "scene_filter"
    filters.mkdir(parents=True)
    for name in ("navtrain", "navtest", "navmini"):
        (filters / f"{name}.yaml").write_text(yaml.safe_dump(FILTER))
    (deep / "training").mkdir()
    (deep / "training" / "default_train_val_test_log_split.yaml").write_text(
        yaml.safe_dump({"train_logs": ["log_c", "log_a", "log_x"], "val_logs": ["log_b"], "test_logs": []})
    )
    return tmp_path


def test_presets_take_navsims_lists(checkout):
    train, val, test, navtrain = (
        chosen_scenes(preset_of(name), SceneFilter(), checkout)
        for name in ("navtrain-train", "navtrain-val", "navtest", "navtrain")
    )
    assert (train.logs, val.logs, test.logs) == (["log_a", "log_c"], ["log_b"], ["log_a", "log_b", "log_c"])
    assert train.tokens == ["00ff", "11ee"]
    assert (navtrain.logs, navtrain.test_logs) == (["log_a", "log_b", "log_c"], {"log_b"})
    assert train.windows == SceneFilter()
    assert [PRESETS[name].scenes for name in ("navtrain-train", "navtrain-val", "navtrain")] == [
        85_109,
        18_179,
        103_288,
    ]
    assert chosen_scenes(preset_of("all"), SceneFilter(), None).logs is None


def test_windows_are_those_of_navsims_file(checkout):
    path = next(checkout.rglob("navmini.yaml"))
    path.write_text(yaml.safe_dump(FILTER | {"frame_interval": None, "has_route": False, "tokens": None}))
    scenes = chosen_scenes(preset_of("navmini"), SceneFilter(), checkout)
    assert scenes.windows == SceneFilter(interval=14, needs_route=False)
    assert scenes.tokens is None


def test_own_lists_cut_further(checkout):
    (checkout / "logs.txt").write_text("# mine\nlog_c\n\nlog_z\n")
    (checkout / "tokens.yaml").write_text("tokens: ['11ee', '22dd']\n")
    windows = SceneFilter(logs=checkout / "logs.txt", tokens=checkout / "tokens.yaml")
    both = chosen_scenes(preset_of("navtrain"), windows, checkout)
    assert (both.logs, both.tokens) == (["log_c"], ["11ee"])
    alone = chosen_scenes(preset_of("all"), windows, None)
    assert (alone.logs, alone.tokens) == (["log_c", "log_z"], ["11ee", "22dd"])
    (checkout / "list.yml").write_text("- a\n- b\n")
    assert read_names(checkout / "list.yml", "tokens") == ["a", "b"]


def test_what_is_wrong_is_said(checkout, tmp_path):
    with pytest.raises(UserError, match="preset 'navtran' is unknown"):
        preset_of("navtran")
    with pytest.raises(UserError, match=r"navtrain\.yaml; name your checkout of navsim with --navsim_config"):
        chosen_scenes(preset_of("navtrain"), SceneFilter(), None)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    with pytest.raises(UserError, match=r"no navtrain\.yaml in it or below"):
        chosen_scenes(preset_of("navtrain"), SceneFilter(), tmp_path / "other")
    with pytest.raises(UserError, match=r"none\.txt does not exist"):
        read_names(tmp_path / "none.txt", "tokens")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tokens: [[1], 2]", "tokens should be a list of names"),
        ("tokens: {a: b}", "tokens should be a list of names"),
        ("logs: [a]", "holds no tokens"),
        ("7", "holds no tokens"),
        ("tokens: []", "names nothing"),
        ("a: [", "cannot be read as YAML"),
        ("!!python/object/apply:os.system [ls]", "cannot be read as YAML"),
        ("\0", "cannot be read as YAML"),
    ],
)
def test_damaged_lists(tmp_path, text, reason):
    (tmp_path / "list.yaml").write_text(text)
    with pytest.raises(UserError, match=reason):
        read_names(tmp_path / "list.yaml", "tokens")


@pytest.mark.parametrize(
    ("change", "reason"), [({"max_scenes": 5}, "max_scenes"), ({"num_history_frames": "x"}, "num_history_frames")]
)
def test_damaged_filters(checkout, change, reason):
    next(checkout.rglob("navtest.yaml")).write_text(yaml.safe_dump(FILTER | change))
    with pytest.raises(UserError, match=reason):
        chosen_scenes(preset_of("navtest"), SceneFilter(), checkout)


def test_tokens_that_look_like_numbers_are_names(tmp_path):
    """PyYAML quotes those alone that YAML 1.1 takes for numbers; by YAML 1.2 the others would be numbers, too."""
    tokens = ["0812345678912345", "1234567890123456", "12345e1234567890", "0b10", "1_0", "0o17", "abc"]
    (tmp_path / "list.yaml").write_text(yaml.safe_dump({"tokens": tokens}))
    assert read_names(tmp_path / "list.yaml", "tokens") == tokens
