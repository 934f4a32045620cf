"""The commands that the kill harness kills, at toy size, each with work of a second or more."""

import argparse
import os
import shutil
import sys
from pathlib import Path

import killing
from killing import Case
from made import picture_set

AGENT = ("--agent.network", "convnet", "--agent.image_px", 16, "--agent.steps")
TUNING = ("--tuning.batch_size", 4, "--tuning.log_every", 2, "--tuning.save_every", 3, "--tuning.steps")
LESS = """
like: thesis-table-4.3
arms: {difffit: null, lora: null, difffit-lora: null, difffit-lora-scos: null}
"""


def make_inputs(folder: Path) -> Path:
    """Makes what the commands read, below a folder."""
    steps = [
        ("world", "world", "--drives", 4, "--seed", 3, "--height_px", 72, "--pictures", "false"),
        ("index", "world", "index"),
        ("prepare", "index", "sets", "--size_px", 32, "--max_per_class", 24),
        ("prepare", "index", "sets128", "--max_per_class", 8),
        ("world", "later", "--drives", 4, "--seed", 4, "--height_px", 72, "--pictures", "false"),
        ("index", "later", "later-index"),
        ("prepare", "later-index", "new", "--size_px", 32, "--max_per_class", 24),
        ("encode", "sets128/train", "latents"),
        ("finetune", "latents", "tuned", *TUNING, 2),
        ("select", "sets128/train", "small", "--per_class", 4),
        ("select", "sets/train", "one", "--per_class", 4, "--seed", 1),
        ("select", "sets/train", "two", "--per_class", 4, "--seed", 2),
        ("select", "sets/train", "herded", "--method", "herding", "--features", "pixels", "--per_class", 4),
        ("train", "sets/train", "agent", *AGENT, 2),
        ("share", "sets/train", "shared", "--format", "pt"),
        ("run", "demo", "--size", "toy", "--out", "run"),
    ]
    for words in steps:
        _make(words, folder)
    shutil.rmtree(folder / "tmp")
    (folder / "less.yaml").write_text(LESS)
    shutil.copytree(folder / "run", folder / "torn")
    for product in ("finetune", "arms", "sets/dev"):
        shutil.rmtree(folder / "torn" / product)
    return folder


def cases(at: Path) -> list[Case]:
    """All commands that write something; `app` does not."""
    return [
        Case("world", ("world", "world", "--drives", 3, "--seed", 5, "--height_px", 36)),
        Case("index", ("index", at / "world", "index", "--workers", 2)),
        Case("prepare", ("prepare", "index", "sets", "--size_px", 32, "--max_per_class", 24),
             (at / "index", at / "world")),
        Case("prepare pt", ("prepare", at / "shared/data/train.pt", "copied")),
        Case("encode", ("encode", at / "sets128/train", "latents", "--batch_size", 2)),
        Case("pretrain codec", ("pretrain", "codec", at / "sets/train", "codec", "--codec.steps", 9,
                                "--codec.save_every", 3, "--codec.log_every", 2, "--codec.held_out", 8)),
        Case("pretrain denoiser", ("pretrain", "denoiser", at / "latents", "base", "--denoiser.steps", 9,
                                   "--denoiser.batch_size", 4, "--denoiser.save_every", 3, "--denoiser.log_every", 2)),
        Case("finetune", ("finetune", at / "latents", "tuned", *TUNING, 10)),
        Case("generate", ("generate", "made", "--per_class", 4, "--sampling.steps", 3, "--sampling.batch_size", 2)),
        Case("refine", ("refine", at / "small", at / "sets128/train", "refined", *AGENT, 2, "--refinement.steps", 3)),
        Case("distil", ("distil", "dm", at / "sets/train", "distilled", "--per_class", 2, "--agent.network", "convnet",
                        "--settings", '{"steps": 8, "save_every": 2, "objective": {"real_batch": 8}}')),
        Case("experts", ("experts", at / "sets/train", "experts", "--agent.network", "convnet",
                         "--training.experts", 2, "--training.epochs", 3, "--training.batch_size", 8)),
        Case("select", ("select", at / "sets128/train", "picked", "--method", "herding", "--features", "pixels",
                        "--per_class", 4)),
        Case("update", ("update", at / "herded", "current", "--with", at / "new/train", "--min_gain", 0)),
        Case("train", ("train", at / "sets/train", "agent", *AGENT, 30, "--dev", at / "sets/dev")),
        Case("evaluate", ("evaluate", at / "agent", at / "sets/dev", "--out", "run", "--arm", "x")),
        Case("compare", ("compare", at / "one", at / "two", "--test", "test", *AGENT, 3, "--seeds", 3, "--out",
                         "c.json"), (at / "sets/test",)),
        Case("audit", ("audit", at / "small", "--against", at / "sets128/train", "--heldout", at / "sets128/dev",
                       "--false_alarms", 0.5, "--out", "audit")),
        Case("share", ("share", at / "sets/train", "shared", "--format", "webdataset", "--shard_mb", 1)),
        Case("share pt", ("share", at / "sets/train", "shared", "--format", "pt")),
        Case("export diffusers", ("export", "out")),
        Case("export original", ("export", "out.safetensors", "--layout", "original")),
        Case("report", ("report", "run"), (at / "run",), runs=("run",)),
        Case("run demo", ("run", "demo", "--size", "toy", "--out", "run"), runs=("run",)),
        Case("doctor --repair", ("doctor", "torn", "--repair"), (at / "torn",), runs=("torn",)),
        Case("study", ("study", at / "less.yaml", "--size", "toy", "--out", "study"), runs=("study/thesis-table-4.3",)),
    ]  # fmt: skip


def make_latents(at: Path) -> None:
    """Makes a small set and its latents, below a folder."""
    picture_set(at / "set", 6, px=128)
    _make(("encode", "set", "latents"), at)


def short_cases(at: Path) -> list[Case]:
    """Two that need little, for the suite; their inputs are made first."""
    make_latents(at)
    return [
        Case("finetune", ("finetune", at / "latents", "tuned", *TUNING, 7)),
        Case("generate", ("generate", "made", "--per_class", 2, "--sampling.steps", 2, "--sampling.batch_size", 1)),
    ]


def _make(words: tuple[object, ...], folder: Path) -> None:
    code = killing.ended(killing.begin(words, folder))
    assert code == 0, folder.with_name(f"{folder.name}.said.txt").read_text()


def main() -> int:
    """Runs the harness; see --help."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder to work in")
    parser.add_argument("verbs", nargs="*", help="rows of the table; all if none is named")
    parser.add_argument("--kills", type=int, default=10, help="kills of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to write the table to")
    parser.add_argument("--short", action="store_true", help="two commands that need little")
    given = parser.parse_args()
    killing.import_all()
    work = given.work.absolute()
    inputs, rows = work / "inputs", {}
    if not given.short and not inputs.is_dir():
        make_inputs(inputs)
    for case in (short_cases if given.short else cases)(inputs):
        if given.verbs and case.name not in given.verbs:
            continue
        rows[case.name] = row = killing.kill(case, work / case.name.replace(" ", "-"), given.kills, given.seed)
        print(killing.table({case.name: row}), flush=True)
        if given.json:
            given.json.write_text(killing.as_json(rows))
    print(killing.table(rows))
    return not all(row.killed >= given.kills and row.fine for row in rows.values())


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
