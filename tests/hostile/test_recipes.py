"""Bad recipes: refused before anything is made, whatever verb reads them."""

from hostile import Case, check, each

RECIPE = "name: mine\narms:\n  random: {kind: random, label: x}\n  herding: {kind: herding, label: y}\n"
DIGITS = "9" * 6000


def recipe(name, says, text, *, verb=("run", "r.yaml", "--out", "out")):
    """A case whose recipe is this text."""

    def command(folder, good):
        (folder / "r.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return verb

    return Case(name, command, says)


def more(name, says, text):
    """A case whose recipe has one more field, or another one."""
    return recipe(name, rf"r\.yaml.*{says}", RECIPE + text + "\n")


def bomb(levels=9):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return RECIPE + "\n".join(lines) + "\n"


def itself(folder, good):
    (folder / "r.yaml").write_text("like: r.yaml\n")
    return "run", "r.yaml", "--out", "out"


def pipe(folder, good):
    import os

    os.mkfifo(folder / "r.yaml")
    return "run", "r.yaml", "--out", "out"


CASES = [
    recipe("bomb", r"r\.yaml, line \d+: more than 20,000 values", bomb()),
    recipe("alias-of-itself", r"r\.yaml, line 5: \*a names what it lies in", RECIPE + "a: &a [*a]\n"),
    recipe("deep", r"r\.yaml.*(more than 64 lists|nesting depth)", "[" * 10_000),
    recipe("digits", r"r\.yaml cannot be read as YAML: a number of 6,000 digits", f"{RECIPE}per_class: {DIGITS}\n"),
    recipe("tag", r"r\.yaml cannot be read as YAML", "!!python/object/apply:os.system [touch x]\n"),
    recipe("binary", r"r\.yaml cannot be read: it is no text", b"\xff\xfe\x00"),
    recipe("nul", r"r\.yaml", RECIPE.encode() + b"seeds: \x00\n"),
    recipe("empty", r"r\.yaml holds no recipe", ""),
    recipe("list", r"r\.yaml holds no recipe", "[1]"),
    recipe("long", r"r\.yaml is longer than 1 MiB", "# " + "x" * 2**20),
    Case("like-itself", itself, r"r\.yaml is like a recipe that is like"),
    Case("pipe", pipe, r"no recipe 'r\.yaml'|r\.yaml"),
    recipe("key-twice", r"r\.yaml, line 5: 'name' stands twice", RECIPE + "name: other\n"),
    recipe("arm-twice", r"r\.yaml, line 4: 'random' stands twice", RECIPE.replace("herding:", "random:")),
    recipe("arms-list", r"r\.yaml: arms is .*mapping", "name: m\narms: [a]\n"),
    recipe("arms-none", r"r\.yaml", "name: m\narms: {}\n"),
    recipe("arm-text", r"r\.yaml", "name: m\narms: {random: x}\n"),
    recipe("arm-climbs", r"r\.yaml: arm '\.\./x' cannot", RECIPE.replace("herding:", "../x:")),
    recipe("arm-absolute", r"r\.yaml: arm '/x' cannot", RECIPE.replace("herding:", "/x:")),
    recipe("name-climbs", r"r\.yaml: recipe name '\.\./x' cannot", RECIPE.replace("mine", "../x")),
    more("per-class-0", "per_class is 0; it must be a whole number, at least 1", "per_class: 0"),
    more("per-class-half", "per_class", "per_class: 1.5"),
    more("per-class-true", "per_class", "per_class: true"),
    more("budgets-negative", r"budgets is \[-5\]", "budgets: [-5]"),
    more("budgets-twice", "budgets is .* once", "budgets: [5, 5]"),
    more("budgets-text", "budgets", "budgets: many"),
    more("seeds-1", "seeds is 1; a verdict needs at least 3", "seeds: 1"),
    more("seeds-huge", "seeds is 1000000; it must be", "seeds: 1000000"),
    more("looks-0", "looks is 0", "looks: 0"),
    more("world-0", "world.drives is 0", "world: {drives: 0}"),
    more("world-huge", "world.drives is 1000000000", "world: {drives: 1000000000}"),
    more("world-seed", "world.seed is -1", "world: {seed: -1}"),
    more("world-reserved", "world.seed is 9000", "world: {seed: 9000}"),
    more("world-group", "there is no world group '../x'", "world: {group: ../x}"),
    more("world-confirm", "'confirm' has towns that are kept", "world: {group: confirm}"),
    more("world-not-kept", "seed is 5; the reserved worlds begin at 9000", "world: {seed: 5, reserved: true}"),
    more("world-height", "world.height_px is 1000000", "world: {height_px: 1000000}"),
    more("image-0", "image_px is 0", "image_px: 0"),
    more("image-huge", "image_px is 100000", "image_px: 100000"),
    more("max-per-class-0", "max_per_class is 0", "max_per_class: 0"),
    recipe("candidates-0", r"r\.yaml.*candidates is 0", RECIPE.replace("label: y", "label: y, candidates: 0")),
    more("agent-list", "agent is \\[1\\]; it holds settings by name", "agent: [1]"),
    more("world-number", "world is 3; it holds settings by name", "world: 3"),
    recipe(
        "refine-number",
        r"r\.yaml: arms\.random\.refine is 3; it holds settings by name",
        "name: m\nlike: demo\narms: {random: {refine: 3}}\n",
    ),
    recipe(
        "agent-list-below-a-size",
        r"r\.yaml: agent is \[1\]; it holds settings by name",
        "name: m\nlike: demo\nagent: [1]\n",
        verb=("run", "r.yaml", "--size", "toy", "--out", "out"),
    ),
    more("schedule-untrusted", "schedule 'os.system' is not one of roadstill's own", "sampling: {schedule: os.system}"),
    more("schedule-unknown", "schedule 'wavy' is unknown", "sampling: {schedule: wavy}"),
    more("steps-0", "steps is 0", "agent: {steps: 0}"),
    more("rate-nan", "learning_rate is nan", "agent: {learning_rate: .nan}"),
    more("rate-negative", "learning_rate is -1", "agent: {learning_rate: -1}"),
    more("guidance-negative", "guidance is -1", "sampling: {guidance: -1}"),
    more("finetune-text", "finetune is 'x'; it should be a mapping", "finetune: x"),
    more("sizes-text", "sizes is 'x'; it should be a mapping", "sizes: x"),
    more("unknown-key", "per_clas", "per_clas: 3"),
    more("baseline-unknown", "baseline 'best' is not one of the arms", "baseline: best"),
    more("protocol-unknown", "protocol", "protocol: strict"),
    more("others-climbs", "others: '../x' becomes", "others: {../x: {}}"),
    more("others-field", "others: a: .*it holds fields of an agent", "others: {a: {stps: 3}}"),
    more("hook-untrusted", "subprocess.Popen", "hook: subprocess.Popen\nhook_settings: {args: touch x, shell: true}"),
    more("agent-untrusted", "os.system", "agent: {network: os.system}"),
    recipe("study", r"r\.yaml: per_class is 0", RECIPE + "per_class: 0\n", verb=("study", "r.yaml", "--out", "out")),
]


@each(CASES)
def test_a_bad_recipe(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
