"""A run folder as the pipeline leaves it, tiny and invented, for tests of the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from made import frame_table
from PIL import Image

from roadstill.evaluation import run_of, score
from roadstill.evaluation.compare import Comparison
from roadstill.evaluation.metrics import ReliabilityBin
from roadstill.evaluation.summary import ArmSummary, Budget, Spread, Stratum
from roadstill.evaluation.verdicts import Verdict, head
from roadstill.frames.filters import FrameFilter, Sieve
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.runs import write_json

ARMS = {
    "random": ("Random real frames", 0.61, 0.05),
    "base": ("Untouched generator", 0.57, 0.04),
    "difffit-lora": ("DiffFit + LoRA", 0.68, 0.03),
    "difffit-lora-minimax": ("DiffFit + LoRA + minimax", 0.665, 0.03),
    "full": ("Full training part", 0.93, 0.01),
}
MADE = {"guidance": 4.0, "seed": 6899862650048264406, "checkpoint": "26e1e51b12623f84"}


def save_set(folder: Path, per_class: int, start: int, causes: tuple[str, ...] = (), **facts: Any) -> None:
    generator, number = np.random.default_rng(start), 0
    with ImageSetWriter(folder, ("not_brake", "brake"), 64) as writer:
        for label in (0, 1):
            for _ in range(per_class):
                pixels = np.zeros((64, 64, 3), np.uint8)
                pixels[:30] = 150 + generator.integers(60)
                pixels[30:] = 60 + generator.integers(40)
                left, size = generator.integers(10, 40), 6 + 12 * label
                pixels[30 : 30 + size, left : left + size] = (190, 40, 30) if label else (40, 90, 150)
                more = {"cause": causes[number % len(causes)], "log": f"log{number % 5}"} if causes else {}
                writer.add(pixels, label, {**facts, **more})
                number += 1


def fake_run(run: Path) -> Path:
    """A run folder as the pipeline leaves it, tiny and invented."""
    generator = np.random.default_rng(0)
    (run / "index").mkdir(parents=True)
    (run / "world").mkdir()
    write_json(run / "world" / "world.json", {"seed": 1})
    (run / "recipe.yaml").write_text(
        "per_class: 10\nindex:\n  filter:\n    min_abs_accel_mps2: 1.0\n    min_speed_mps: 3.0\n"
    )
    speed = np.abs(generator.normal(6, 5, 4000))
    sieve = Sieve((), FrameFilter())
    sieve(frame_table(generator.normal(0, 1.2, 4000), vx=speed))
    sieve.save_motion(run / "index" / "motion.json")
    rules = [("all", 4000, 1900), ("command is straight", 3300, 1600), ("|a| >= 1", 900, 520), ("v >= 3", 700, 420)]
    rows = [{"rule": r, "left": n, "not_brake": n - b, "brake": b} for r, n, b in rules]
    write_json(run / "index" / "funnel.json", {"rows": rows})
    (run / "index" / "problems.txt").write_text("log a.pkl: truncated\n")
    save_set(run / "sets" / "train", 14, 1, ("queue", "red_light"), speed_mps=7.5, accel_mps2=-2.25)
    save_set(run / "sets" / "dev", 12, 2, ("queue", "red_light", "<b>"), speed_mps=7.5, accel_mps2=-2.25)
    for place, arm in enumerate(ARMS):
        for seed in (0, 1) if arm != "full" else ():
            folder = run / "arms" / arm / f"seed{seed}"
            if arm == "random":
                open_imageset(run / "sets" / "train").subset([*range(10), *range(14, 24)]).save(folder)
            else:
                save_set(folder, 10, 10 * place + seed, **MADE)
        save_predictions(run, arm, seeds=3, skill=0.1 * place)
    for name, slope in (("difffit-lora", 0.3), ("difffit-lora-minimax", 0.35)):
        folder = run / "finetune" / name
        folder.mkdir(parents=True)
        lines = []
        for step in range(0, 1000, 2):
            line = {"step": step, "loss": slope + np.exp(-step / 200) + 0.05 * generator.normal(), "lr": 1e-3}
            if "minimax" in name:
                line |= {"representativeness": 0.4 - step / 5000, "diversity": 0.7 - step / 9000}
            lines.append(json.dumps(line))
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    write_json(run / "comparison.json", fake_comparison(generator))
    ledger = [
        {"opening": k + 1, "time": f"2026-01-01T00:00:{k:02d}", "config": "ab12cd34", "what": "accuracy"}
        for k in range(20)
    ]
    (run / "test_ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ledger))
    steps = [0, 50, 100, 150, 200]
    for schedule in ("linear", "spoon2"):
        strip = generator.integers(0, 255, (64, 64 * len(steps), 3)).astype(np.uint8)
        (run / "figures").mkdir(exist_ok=True)
        Image.fromarray(strip).save(run / "figures" / f"noising_{schedule}.png")
    noise = {"t": steps, "abar": [1.0, 0.97, 0.9, 0.79, 0.65], "snr_db": [40.0, 15.1, 9.3, 5.7, 2.8]}
    write_json(run / "figures" / "noising.json", {"rows": [{"schedule": s} | noise for s in ("linear", "spoon2")]})
    for place, stage in enumerate(("index", "prepare", "encode", "finetune")):
        record = {"key": "k", "versions": {"python": "3.11.7", "torch": "2.13.0"}, "seconds": 12.5 * (place + 1)}
        write_json(run / "stages" / f"{place}-{stage}.json", record)
    for arm in ARMS:
        needs = ["sets", "encode", f"finetune-{arm}"] if "difffit" in arm else ["sets"]
        stages = {"encode": (["sets"], 60.0), f"finetune-{arm}": (["encode"], 120.0), f"set-{arm}-0": (needs, 30.0)}
        stages[f"agent-{arm}-0"] = (["sets", f"set-{arm}-0"], 6.0)
        for stage, (inputs, seconds) in stages.items():
            record = {"key": "k", "inputs": dict.fromkeys(inputs, "k"), "seconds": seconds}
            write_json(run / "stages" / stage / "stage.json", record)
    return run


def fake_comparison(generator: np.random.Generator) -> dict[str, Any]:
    """What the pipeline writes: the referee's own record, and labels and budgets beside it."""
    arms = {}
    for name, (_, mean, sd) in ARMS.items():
        values = np.clip(generator.normal(mean, sd, 3 if name == "full" else 20), 0, 1)
        spread = Spread(values.mean(), values.std(ddof=1), values.min(), values.max(), values.tolist())
        brake = Spread(spread.mean - 0.05, 0.06, 0.0, 1.0, [])
        seeds = list(range(len(values)))
        classes = {"not_brake": spread, "brake": brake}
        arms[name] = ArmSummary(
            name, seeds, len(seeds), spread, spread, spread, spread, classes,
            strata=fake_strata(spread), budget=Budget(20, 20_000.0, 40),
            confusion=[[200.0, 70.0], [120.0, 250.0]],
            reliability=[ReliabilityBin(400, 0.6, 0.55), ReliabilityBin(240, 0.95, 0.8)],
        )  # fmt: skip
    words: dict[str, tuple[Any, float, float, float]] = {"base": ("worse", -0.04, -0.07, -0.01)}
    words |= {"difffit-lora": ("better", 0.07, 0.03, 0.11)}
    words |= {"full": ("bound", 0.3, 0.28, 0.32)}
    words |= {"difffit-lora-minimax": ("cannot be told apart", 0.02, -0.02, 0.06)}
    verdicts = {
        arm: Verdict(
            arm,
            "random",
            word,
            difference,
            low,
            high,
            0.01,
            0.02,
            list(range(20)),
            20,
            16,
            40,
            head(word, arm, "random") + ": so.",
        )
        for arm, (word, difference, low, high) in words.items()
    }
    found = Comparison("random", "log", 16, 640, "brake", 0.58, "digest", arms, verdicts).as_dict()
    about = {"protocol": "honest", "labels": {name: label for name, (label, *_) in ARMS.items()}}
    about["per_class"] = {name: None if name == "full" else 10 for name in ARMS}
    about["thesis"] = {"random": "60.86 ± 6.69", "difffit-lora": "74.40 ± 2.35", "full": "90.78", "majority": "60.46"}
    return json.loads(json.dumps(found, default=float)) | {"about": about}


def fake_strata(spread: Spread) -> dict[str, dict[str, Stratum]]:
    """Strata of one class, of few frames, and of places that are told twice."""
    places = [Stratum(images, spread, {"not_brake": images // 2, "brake": images // 2}) for images in (400, 240)]
    return {
        "location": {"boston": places[0], "las_vegas": places[1]},
        "town": {"brickfield": places[0], "dryford": places[1]},
        "cause": {
            "pedestrian": Stratum(1, Spread(1.0, 0.0, 1.0, 1.0, [1.0, 1.0]), {"brake": 1}),
            "queue": Stratum(300, spread, {"brake": 300}),
            "open_road": Stratum(339, spread, {"not_brake": 339}),
        },
    }


def save_predictions(run: Path, arm: str, seeds: int, skill: float) -> None:
    """Predictions of an arm's agents on the dev part."""
    images = open_imageset(run / "sets" / "dev")
    for seed in range(seeds):
        generator = np.random.default_rng([seed, len(arm)])
        noise = generator.uniform(-0.49, 0.49, len(images)) + skill * (2 * images.labels - 1)
        brake = np.clip(0.5 + noise, 0.01, 0.99).astype(np.float32)
        found = score(np.stack([1 - brake, brake], 1), images.labels, images.class_names, images=images.digest)
        run_of(arm, seed, found, images).save(run / "runs" / "dev" / arm / f"seed{seed}")
