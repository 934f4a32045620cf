"""Bad run folders: what the report says of their parts, and what doctor finds."""

import json
import shutil

from hostile import Case, check, copied, each, edited


def reported(name, says, file, change):
    """A case in which one file of a finished run is changed before its report is written."""

    def command(folder, good):
        path = copied(good, "run", folder) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        change(path)
        return "report", "run"

    return Case(f"report-{name}", command, says, code=3)


def compared(name, says, change):
    return reported(name, says, "comparison.json", lambda path: edited(path, change))


def examined(name, says, change):
    """A case in which something of a finished run is changed before doctor looks at it."""

    def command(folder, good):
        change(copied(good, "run", folder))
        return "doctor", "run"

    return Case(f"doctor-{name}", command, says)


def text(value):
    return lambda path: path.write_bytes(value if isinstance(value, bytes) else value.encode())


def record(value):
    return text(json.dumps(value))


def arm(**values):
    return lambda found: found["arms"]["random"].update(values)


def verdict(**values):
    return lambda found: found["verdicts"]["medoids"].update(values)


def several_arms(found):
    found["arms"] = {f"a{number}": found["arms"]["random"] for number in range(1000)}


def strip(**values):
    return record({"rows": [STRIP | values]})


def without(name):
    def change(run):
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()

    return change


def put(name, value):
    return lambda run: text(value)(run / name)


def words(name, old, new):
    return lambda run: text((run / name).read_text().replace(old, new, 1))(run / name)


def with_outputs(change):
    return lambda run: edited(run / STAGE, lambda found: change(found["outputs"]))


def renamed(path):
    shutil.copyfile(path.parent / "comparison.json", path)


STRIP = {"schedule": "linear", "t": [0, 1], "abar": [1.0, 0.9], "snr_db": [40.0, 9.0]}
BIN = {"answers": 1, "confidence": 0.5, "accuracy": 0.5}
DEV_RUN = "runs/dev/random/seed0"
NOISING = "figures/noising.json"
STRATUM = {"images": 1, "balanced_accuracy": {"mean": 0.5}}
STAGE = "stages/sets/stage.json"
CASES = [
    reported("comparison-empty", r"comparison: .*comparison\.json cannot be read as JSON", "comparison.json", text("")),
    reported("comparison-deep", r"comparison: .*too deep", "comparison.json", text("[" * 100_000)),
    reported("comparison-list", r"comparison: .*comparison\.json: Expected `object`", "comparison.json", text("[]")),
    reported("comparison-name", r"comparison: .*no name of a comparison", 'comparison-"><b>.json', renamed),
    compared("arms-none", r"comparison\.json, arms: ", lambda found: found.update(arms={})),
    compared("arms-many", r"comparison\.json, arms: ", several_arms),
    compared("arms-list", r"comparison\.json, arms: ", lambda found: found.update(arms=[])),
    compared("seeds-text", r"comparison\.json, arms.*seeds", arm(seeds="many")),
    compared("mean-above-1", r"comparison\.json, arms.*mean", arm(auroc={"mean": 7})),
    compared("mean-huge", r"comparison\.json", arm(accuracy={"mean": 1e308})),
    compared("rate-text", r"comparison\.json", arm(miss_rate={"often": {"mean": 0.5}})),
    compared("strata-differ", r"comparison\.json: arms differ", arm(strata={"light": {"day": STRATUM}})),
    compared("word-other", r"comparison\.json, verdicts.*word", verdict(word="best")),
    compared("sentence-long", r"comparison\.json, verdicts.*sentence", verdict(sentence="x" * 10**6)),
    compared("interval-text", r"comparison\.json, verdicts.*low", verdict(low="x")),
    compared("about-list", r"comparison\.json, about: ", lambda found: found.update(about=[])),
    compared("labels-list", r"comparison\.json, about\.labels", lambda found: found["about"].update(labels=[])),
    compared("clusters-negative", r"comparison\.json, num_clusters", lambda found: found.update(num_clusters=-1)),
    compared("confusion-shape", r"comparison\.json, arms.*no table of 2 classes", arm(confusion=[[1, 2], [3]])),
    compared("confusion-huge", r"comparison\.json, arms.*confusion", arm(confusion=[[1, 2], [3, 1e300]])),
    compared("reliability-share", r"comparison\.json, arms.*accuracy", arm(reliability=[BIN | {"accuracy": 2}])),
    compared("reliability-many", r"comparison\.json, arms.*reliability", arm(reliability=[BIN] * 1000)),
    compared("verdict-seeds", r"comparison\.json, verdicts.*seeds", verdict(seeds=3)),
    reported("predictions-cut", r"failures: .*predictions\.parquet", f"{DEV_RUN}/predictions.parquet", text("x")),
    reported("predictions-run", r"failures: .*run\.json", f"{DEV_RUN}/run.json", text("x")),
    reported("teacher-cut", r"teacher: .*agent\.json", "teacher/agent.json", text("x")),
    reported("stage-inputs", r"stages: .*stage\.json, inputs", STAGE, record({"inputs": [1]})),
    reported("stage-list", r"stages: .*stage\.json: Expected", STAGE, text("[]")),
    reported("stage-seconds", r"stages: .*stage\.json, seconds: ", STAGE, record({"seconds": "long"})),
    reported("stage-versions", r"stages: .*stage\.json, versions", STAGE, record({"versions": {"a": 1}})),
    reported("noising-schedule", r"noising: .*schedule", NOISING, strip(schedule="../x")),
    reported("noising-picture", r"noising: ", NOISING, strip()),
    reported("noising-lengths", r"noising: .*differ in length", NOISING, strip(t=[0])),
    reported("motion-text", r"frames: .*motion\.json, counts", "index/motion.json", record({"counts": "many"})),
    reported("motion-ragged", r"frames: .*rows differ", "index/motion.json", record({"counts": [[1], [1, 2]]})),
    reported("funnel-text", r"funnel: ", "index/funnel.json", text("x")),
    reported("recipe-binary", r"recipe", "recipe.yaml", text(b"\xff\xfe")),
    reported("recipe-deep", r"recipe", "recipe.yaml", text("[" * 10_000)),
    reported("recipe-bomb", r"recipe", "recipe.yaml", text("a: &a [x, x]\n" + "\n".join(
        f"{c}: &{c} [{', '.join([f'*{b}'] * 9)}]" for b, c in zip("abcdefgh", "bcdefghi", strict=True)))),
    reported("set-empty", r"sets/train/set\.json", "sets/train/set.json", text("")),
    reported("set-about", r"sets/train/set\.json, about", "sets/train/set.json", record({"about": []})),
    reported("picture-cut", r"pictures: .*is not the picture", "arms/random/seed0/0_a/000000.png", text("x")),
    reported("ledger-opening", r"test ledger: .*opening", "test_ledger.jsonl", text('{"opening": [1]}\n')),
    reported("ledger-outcome", r"test ledger: .*outcome_of", "test_ledger.jsonl", text('{"outcome_of": {}}\n')),
    reported("metrics-binary", r"training: ", "finetune/x/metrics.jsonl", text(b"\xff\xfe\n")),
    examined("set-gone", r"stage set-random-0: arms/random/seed0: missing", without("arms/random/seed0")),
    examined("picture-gone", r"stage sets: sets/train/0_a/000000\.png: missing", without("sets/train/0_a/000000.png")),
    examined("stage-cut", r"stage sets: its record is damaged", put(STAGE, '{"key": "')),
    examined("stage-list", r"stage sets: its record is damaged", put(STAGE, "[]")),
    examined("stage-climbs", r"stage sets: .*leaves the folder", with_outputs(
        lambda found: found["files"].update({"../../x": [1, "0" * 16]}))),
    examined("stage-files", r"stage sets: .*outputs", with_outputs(lambda found: found.update(files=[1]))),
    examined("recipe-gone", r"recipe\.yaml", without("recipe.yaml")),
    examined("recipe-other", r": made with other settings", words("recipe.yaml", "image_px: 16", "image_px: 8")),
    examined("book-edited", r"records\.jsonl, line 1 was changed", words("records.jsonl", "random", "rindom")),
    Case("doctor-nothing", lambda folder, good: ("doctor", "nowhere"), r"nowhere does not exist"),
    Case("doctor-set", lambda folder, good: ("doctor", copied(good, "set", folder)), r"set holds no run"),
    Case("doctor-repair-alone", lambda folder, good: ("doctor", "--repair"), r"name it: roadstill doctor RUN"),
]  # fmt: skip


@each(CASES)
def test_a_bad_run_folder(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
