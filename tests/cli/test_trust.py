"""What stands in a file is imported or fetched only with ``--trust``; what was typed needs none."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from made import picture_set, unsealed
from PIL import Image

from roadstill.agents import AgentConfig, train_agent
from roadstill.cli import main, verb_function
from roadstill.cli.trust import files_of_options, typed_names
from roadstill.names import current_trust

NAME = "inert_module.thing"
SCRATCH = {"network": {"class_path": "roadstill.networks.kinds.NetworkConfig",
                       "init_args": {"depth": 1, "hidden_size": 8, "num_heads": 1}},
           "adapters": [{"class_path": "roadstill.adapters.Full"}]}  # fmt: skip
SIZES = [word for key, value in SCRATCH.items() for word in (f"--tuning.{key}", json.dumps(value))]
# The place of a name: the verb with what it works on, the option, and the settings in a file.
PLACES = {
    "selector": (["select", "set"], ["--method", NAME], {"method": NAME}),
    "distinct selector": (["select", "set"], ["--method", f"distinct:0.9:{NAME}"], {"method": f"distinct:0.9:{NAME}"}),
    "source of frames": (["index", "classes"], ["--source", NAME], {"source": NAME}),
    "source of pictures": (["prepare", "classes"], ["--source", NAME], {"source": NAME}),
    "hook": (["prepare", "classes"], ["--hook", NAME], {"hook": NAME}),
    "schedule": (["finetune", "latents"], [*SIZES, "--tuning.schedule", NAME],
                 {"tuning": SCRATCH | {"schedule": NAME}}),
    "criterion": (["finetune", "latents"], [*SIZES, "--tuning.criteria", json.dumps({NAME: 1})],
                  {"tuning": SCRATCH | {"criteria": {NAME: 1}}}),
    "criterion within a configuration": (["finetune", "latents"],
                                         ["--tuning", json.dumps(SCRATCH | {"criteria": {NAME: 1}})],
                                         {"tuning": SCRATCH | {"criteria": {NAME: {"weight": 1}}}}),
    "network": (["train", "set"], ["--agent.network", NAME], {"agent": {"network": NAME}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An image set, its latents, class folders, and an agent whose record names a network."""
    folder = tmp_path_factory.mktemp("made")
    images = picture_set(folder / "set", 8)
    assert main(["encode", str(images.root), str(folder / "latents"), "--codec", "pixels"]) == 0
    for name in ("a", "b"):
        (folder / "classes" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (16, 16)).save(folder / "classes" / name / f"{number}.png")
    train_agent(images, config=AgentConfig(network="convnet-3", steps=1), seed=0).save(folder / "agent")
    record = folder / "agent" / "agent.json"
    found = unsealed(record)
    found["config"]["network"] = NAME
    record.write_text(json.dumps(found))
    return folder


@pytest.fixture
def call(made, tmp_path, monkeypatch, capsys):
    """``call(words)``: exit code, last line of the errors, and whether ``inert_module`` of the current folder ran."""
    folder = tmp_path / "here"
    folder.mkdir()
    mark = tmp_path / "mark"
    (folder / "inert_module.py").write_text(f"open({str(mark)!r}, 'w').close()\n\n\ndef thing(*_):\n    pass\n")
    monkeypatch.chdir(folder)

    def run(*words, found=False):
        if found:  # an installed module of that name
            monkeypatch.syspath_prepend(folder)
        before = list(sys.path)
        code = main([str(made / word) if (made / str(word)).exists() else str(word) for word in words])
        assert sys.path == before
        sys.modules.pop("inert_module", None)
        ran = mark.exists()
        mark.unlink(missing_ok=True)
        err = capsys.readouterr().err
        assert "Traceback" not in err
        return code, (err.splitlines() or [""])[-1], ran

    yield run
    assert current_trust().typed == frozenset()
    sys.modules.pop("inert_module", None)


@pytest.mark.parametrize("place", PLACES)
def test_a_name_in_a_file_of_options_is_refused(place, call):
    words, _, settings = PLACES[place]
    Path("options.yaml").write_text(yaml.safe_dump(settings))
    code, line, ran = call(*words, "out", "--config", "options.yaml", found=True)
    assert (code, ran) == (2, False), line
    assert line.startswith("roadstill: options.yaml: "), line
    assert repr(NAME) in line
    assert "add --trust" in line
    assert not Path("out").exists()


@pytest.mark.parametrize("place", PLACES)
def test_a_name_in_a_file_of_options_is_imported_with_trust(place, call):
    words, _, settings = PLACES[place]
    Path("options.yaml").write_text(yaml.safe_dump(settings))
    _, line, ran = call(*words, "out", "--config", "options.yaml", "--trust")
    assert ran, line


@pytest.mark.parametrize("place", PLACES)
def test_a_typed_name_is_imported(place, call):
    words, options, _ = PLACES[place]
    _, line, ran = call(*words, "out", *options, found=True)
    assert ran, line


@pytest.mark.parametrize("place", PLACES)
def test_the_working_folder_is_searched_with_trust_only(place, call):
    words, options, _ = PLACES[place]
    code, line, ran = call(*words, "out", *options)
    assert (code, ran) == (2, False)
    assert "No module named 'inert_module'" in line
    _, line, ran = call(*words, "out", *options, "--trust")
    assert ran, line


def test_an_agent_s_network_is_imported_with_trust_only(call):
    chosen = ["select", "set", "out", "--method", "confident", "--teacher", "agent"]
    for words in (["evaluate", "agent", "set"], chosen):
        code, line, ran = call(*words, found=True)
        assert (code, ran) == (2, False)
        assert "agent.json: agent network 'inert_module.thing' is not one of roadstill's own" in line
        _, line, ran = call(*words, "--trust")
        assert ran, line


@pytest.mark.parametrize("path", [NAME, "os.system", "roadstill.generator.checkpoints.adapter_of"])
@pytest.mark.parametrize(
    "settings",
    [
        {"adapters": [{"class_path": "PATH"}]},
        {"adapters": ["PATH"]},
        {"network": {"class_path": "PATH"}},
        {"network": "PATH"},
        {"class_path": "PATH"},
        {"minimax": {"class_path": "PATH", "init_args": {}}},
        {"criteria": {"roadstill.criteria.Diversity": {"class_path": "PATH"}}},
    ],
    ids=str,
)
def test_class_paths_lead_to_classes_of_settings_only(path, settings, call):
    text = json.dumps({"tuning": settings}).replace("PATH", path)
    Path("options.yaml").write_text(text)
    code, line, ran = call("finetune", "latents", "out", "--config", "options.yaml", found=True)
    assert (code, ran) == (2, False)
    assert "is not one that settings take" in line, line


def test_no_file_can_hold_the_switch(call):
    Path("options.yaml").write_text(f"trust: true\nmethod: {NAME}")
    code, line, ran = call("select", "set", "out", "--config", "options.yaml", found=True)
    assert (code, ran) == (2, False)
    assert "there is no option --trust" in line
    code, line, _ = call("select", "set", "out", "--trust", "true")
    assert (code, "'true' is one argument too many" in line) == (2, True)


@pytest.mark.parametrize("option", ["base", "tuning.base", "codec"])
def test_a_model_that_a_file_names_is_not_fetched(option, call, monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot_download(name, local_files_only=False, **_):
        asked.append(local_files_only)
        raise OSError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    verb = ["encode", "set"] if option == "codec" else ["finetune", "latents"]
    value = {option.rpartition(".")[2]: "someone/model"}
    Path("options.yaml").write_text(json.dumps({"tuning": value} if "." in option else value))
    code, line, _ = call(*verb, "out", "--config", "options.yaml")
    assert (code, all(asked)) == (2, True), line
    assert f"options.yaml: {option.rpartition('.')[2]} 'someone/model' is not one of roadstill's own; it would" in line
    if "." not in option:
        for words in (["--config", "options.yaml", "--trust"], [f"--{option}", "someone/model"]):
            code, line, _ = call(*verb, "out", *words)
            assert (code, asked[-1]) == (2, False), line
            assert "could not be fetched from the hub (offline)" in line


# ---- what was typed


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["set", "out", "--method", "my.A"], {"my.A"}),
        (["set", "out", "--method=distinct:0.8:my.A"], {"distinct:0.8:my.A", "my.A"}),
        (["my.A", "out", "--images", "my.B", "--config", "my.C", "--checkpoint", "my.D"], set()),
        (["--tuning.criteria", '{"my.A": 1, "my.B": {"weight": 1, "settings": {"x": "my.C"}}}'], {"my.A", "my.B"}),
        (["--agent", '{"network": "my.A", "weights": "a/b"}'], {"my.A", "a/b"}),
        (["--agent", "{broken"], set()),
        (["--agent.network", "transformers:a/b"], {"transformers:a/b", "a/b"}),
        (["--tuning.trackers", "wandb", "my.B", "--seed", "1"], {"wandb", "my.B"}),
        (["--base", "a/b", "--codec", "c"], {"a/b"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_names_on_the_command_line(words, names):
    assert typed_names(words) == names


def test_files_of_options(tmp_path):
    path, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    path.touch()
    other.touch()
    words = ["set", "out", "--config", str(path), f"--agent={other}", "--dev", str(path), "--seed", "3"]
    assert files_of_options(verb_function("train"), words) == [path, other]
