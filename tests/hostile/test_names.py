"""Files that name code, models or services: recipes, files of options, agents, checkpoints."""

import json

from hostile import Case, check, copied, each, edited

EVIL = "open('ran', 'w').close()\n\n\ndef thing(*_, **__):\n    pass\n"
TRUST = r"is not one of roadstill's own; importing it runs its code, so add --trust"
CLASS = r"is not one that settings take"
FETCH = r"is not one of roadstill's own; it would be fetched from the hub, so add --trust"
RANDOM = {"random": {"kind": "random", "label": "r"}}


def with_evil(folder):
    """Leaves a module beside the files, which leaves a mark if it is imported."""
    (folder / "evil.py").write_text(EVIL)


def of_recipe(name, says, *, verb="run", **fields):
    """A recipe with further fields."""

    def command(folder, good):
        with_evil(folder)
        arms = RANDOM | fields.pop("arms", {})
        (folder / "recipe.yaml").write_text(json.dumps({"name": "x", "arms": arms} | fields))
        return verb, "recipe.yaml", "--out", "out"

    return Case(f"recipe-{name}", command, rf"recipe\.yaml: .*{says}")


def tuned(**finetune):
    return {"arms": {"own": {"kind": "generated", "label": "g", "finetune": finetune}}}


def of_options(name, says, text, verb, product):
    """A file of options for a verb."""

    def command(folder, good):
        with_evil(folder)
        (folder / "options.yaml").write_text(text if isinstance(text, str) else json.dumps(text))
        return verb, good / product, "out", "--config", "options.yaml"

    return Case(f"options-{name}", command, says)


def of_agent(name, says, change, *words):
    """An agent's folder whose record is changed."""

    def command(folder, good):
        with_evil(folder)
        edited(copied(good, "agent", folder) / "agent.json", change)
        return words or ("evaluate", "agent", good / "set")

    return Case(f"agent-{name}", command, says)


def of_checkpoint(name, says, change):
    """A checkpoint whose config.json is changed."""

    def command(folder, good):
        with_evil(folder)
        edited(copied(good, "tuned", folder) / "config.json", change)
        return "export", "out", "--checkpoint", "tuned"

    return Case(f"checkpoint-{name}", command, says)


def network(name):
    return lambda record: record["config"].update(network=name)


def base(path):
    return lambda record: record["base"].update(path=path)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(9 * [f'*{before}'])}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
POPEN = {"hook": "subprocess.Popen", "hook_settings": {"args": "touch ran", "shell": True}}
CASES = [
    of_recipe("hook-Popen", rf"hook 'subprocess\.Popen' {TRUST}", **POPEN),
    of_recipe("hook-Popen-study", rf"hook 'subprocess\.Popen' {TRUST}", verb="study", **POPEN),
    of_recipe("hook-os-through-ours", "No module named", hook="roadstill.runs.files.os.system"),
    of_recipe("hook-module-of-ours", TRUST, hook="roadstill.data.privacy.pickle"),
    of_recipe("hook-main", TRUST, hook="roadstill.cli.main"),
    of_recipe("hook-double-main", TRUST, hook="roadstill.__main__.main"),
    of_recipe("source-beside", TRUST, source="evil.thing", data="."),
    of_recipe("selector-beside", TRUST, arms={"own": {"kind": "evil.thing", "label": "o"}}),
    of_recipe("selector-builtin", TRUST, arms={"own": {"kind": "builtins.exec", "label": "o", "settings": {"x": "1"}}}),
    of_recipe("selector-writes", TRUST, arms={"own": {"kind": "roadstill.runs.write_json", "label": "o"}}),
    of_recipe("schedule-exit", TRUST, **tuned(schedule="sys.exit")),
    of_recipe("schedule-old-name", TRUST, **tuned(schedule="roadstill.filters.FrameFilter")),
    of_recipe("criterion-beside", TRUST, **tuned(criteria={"evil.thing": 1})),
    of_recipe("network-beside", TRUST, agent={"network": "evil.thing"}),
    of_recipe("network-timm-hub", "is unknown", agent={"network": "timm:hf-hub:someone/model"}),
    of_recipe("adapter-beside", CLASS, **tuned(adapters=[{"class_path": "evil.thing"}])),
    of_recipe("adapter-word", CLASS, **tuned(adapters=["evil.thing"])),
    of_recipe("adapter-Popen", CLASS, **tuned(adapters=[{"class_path": "subprocess.Popen", "init_args": {}}])),
    of_recipe("network-class", CLASS, **tuned(network={"class_path": "evil.thing"})),
    of_recipe("index-class", CLASS, index={"class_path": "evil.thing"}),
    of_recipe("sampling-class", CLASS, sampling="evil.thing"),
    of_recipe("tracker", r"tracker 'wandb' is not one .* may send figures", **tuned(trackers=["wandb"])),
    of_recipe("codec-hub", rf"codec 'someone/model' {FETCH}", codec="someone/model"),
    of_recipe("weights-hub", rf"weights 'someone/model' {FETCH}", agent={"weights": "someone/model"}),
    of_recipe("network-hub", rf"network 'someone/model' {FETCH}", agent={"network": "transformers:someone/model"}),
    of_recipe("trust", "does not accept|not accept|trust", trust=True, hook="evil.thing"),
    of_options("selector", rf"options\.yaml: selector 'evil\.thing' {TRUST}", {"method": "evil.thing"},
               "select", "set"),
    of_options("source", rf"options\.yaml: source 'evil\.thing' {TRUST}", {"source": "evil.thing"}, "index", "world"),
    of_options("hook", rf"options\.yaml: hook 'evil\.thing' {TRUST}", {"hook": "evil.thing"}, "prepare", "index"),
    of_options("network", rf"options\.yaml: agent network 'evil\.thing' {TRUST}", {"agent": {"network": "evil.thing"}},
               "train", "set"),
    of_options("criterion", rf"options\.yaml: criterion 'evil\.thing' {TRUST}",
               {"tuning": {"criteria": {"evil.thing": 1}, "steps": 1}}, "finetune", "latents"),
    of_options("class", CLASS, {"tuning": {"adapters": [{"class_path": "evil.thing"}]}}, "finetune", "latents"),
    of_options("class-of-all", CLASS, {"tuning": {"class_path": "evil.thing"}}, "finetune", "latents"),
    of_options("word-of-all", "tuning is evil.thing; it must be", {"tuning": "evil.thing"}, "finetune", "latents"),
    of_options("trust", "there is no option --trust", {"trust": True, "method": "evil.thing"}, "select", "set"),
    of_options("hub", rf"options\.yaml: base 'someone/model' {FETCH}", {"base": "someone/model"},
               "finetune", "latents"),
    of_options("tag", r"options\.yaml cannot be read as YAML", "method: !!python/object/apply:os.system [touch ran]\n",
               "select", "set"),
    of_options("bomb", "more than", BOMB, "select", "set"),
    of_options("deep", r"options\.yaml cannot be read as YAML", "method: " + 5000 * "[", "select", "set"),
    of_options("twice", r"'method' stands twice", "method: random\nmethod: herding\n", "select", "set"),
    of_options("list", r"options\.yaml holds no settings by name", "[1, 2]\n", "select", "set"),
    of_options("empty", r"options\.yaml holds no settings by name", "", "select", "set"),
    of_options("binary", r"options\.yaml cannot be read", "\x00\x01", "select", "set"),
    of_agent("system", rf"agent\.json: agent network 'os\.system' {TRUST}", network("os.system")),
    of_agent("exit", rf"agent\.json: agent network 'sys\.exit' {TRUST}", network("sys.exit")),
    of_agent("os-exit", rf"agent\.json: agent network 'os\._exit' {TRUST}", network("os._exit")),
    of_agent("sleep", rf"agent\.json: agent network 'time\.sleep' {TRUST}", network("time.sleep")),
    of_agent("beside", rf"agent\.json: agent network 'evil\.thing' {TRUST}", network("evil.thing")),
    of_agent("ours", TRUST, network("roadstill.bench.bench_agent")),
    of_agent("timm-hub", "is unknown", network("timm:hf-hub:someone/model")),
    of_agent("transformers-hub", r"agent\.json: .*train it again", network("transformers:someone/model")),
    of_agent("transformers-folder", r"agent\.json: .*train it again", network("transformers:/etc")),
    of_checkpoint("base-hub", rf"config\.json: base 'someone/model' {FETCH}", base("hub:someone/model")),
    of_checkpoint("adapter", "adapter type 'evil.thing' is unknown",
                  lambda record: record["adapters"].append({"type": "evil.thing"})),
    of_checkpoint("adapter-function", "adapter type 'apply_adapters' is unknown",
                  lambda record: record["adapters"].append({"type": "apply_adapters"})),
]  # fmt: skip


@each(CASES)
def test_a_name_that_leads_to_code(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
