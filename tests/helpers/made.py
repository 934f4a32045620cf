"""Made-up frames, and parts of runs, that several tests share."""

import json
import shutil

import numpy as np
import pyarrow as pa
from PIL import Image

from roadstill.frames import SCHEMA, FrameTable
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.runs.records import SEAL


def unsealed(path):
    """A JSON record without its seal, so that it may be changed; earlier versions wrote none."""
    return {name: value for name, value in json.loads(path.read_text()).items() if name != SEAL}


def unseal_set(folder):
    """Takes from a set what tells that its records are as they were written."""
    record = unsealed(folder / "set.json")
    record.pop("metadata", None)
    (folder / "set.json").write_text(json.dumps(record))


def unseal_all(folder):
    """The same for all records below a folder, so that what is behind their seals is reached."""
    for path in folder.rglob("*.json"):
        if path.name == "set.json":
            unseal_set(path.parent)
        else:
            path.write_text(json.dumps(unsealed(path)))


def frame_table(accel, *, vx=8.0, vy=0.0, command=1, drive=None, logs=None, images=None, **columns):
    """One frame per acceleration, spread over four drives of one log each; further columns by name."""
    accel = np.asarray(accel, np.float64)
    rows = len(accel)
    vx, vy = np.broadcast_to(vx, rows).astype(float), np.broadcast_to(vy, rows).astype(float)
    drive = np.arange(rows) % 4 if drive is None else np.asarray(drive)
    logs = logs if logs is not None else [f"2021.05.{day:02d}.10.00.00_veh-1_00000_00001" for day in drive]
    values = {
        "token": [f"{row:016x}" for row in range(rows)],
        "log": logs,
        "drive": [name[:27] for name in logs],
        "timestamp_us": np.arange(rows) * 500_000,
        "image": images or [f"{name}/CAM_F0/{row:04x}.jpg" for row, name in enumerate(logs)],
        "vx_mps": vx,
        "vy_mps": vy,
        "speed_mps": np.hypot(vx, vy),
        "accel_mps2": accel,
        "command": np.broadcast_to(command, rows).astype(np.int8),
        "location": ["us-ma-boston"] * rows,
        "position": np.full(rows, 3, np.int32),
        "remaining": np.full(rows, 10, np.int32),
        "steady_before": np.full(rows, 3, np.int32),
        "steady_after": np.full(rows, 10, np.int32),
        "has_route": np.ones(rows, bool),
    }
    return FrameTable(pa.table(values | columns, schema=SCHEMA))


def picture_set(folder, n, *, px=16, seed=0, **facts):
    """Noise with a red or a blue cast, in turn ``not_brake`` and ``brake``; facts by name, one value per image."""
    rng = np.random.default_rng(seed)
    with ImageSetWriter(folder, ("not_brake", "brake"), px) as writer:
        for index in range(n):
            picture = rng.normal(120, 40, (px, px, 3)) + ((0, 0, 30) if index % 2 else (30, 0, 0))
            own = {name: values[index] for name, values in facts.items()}
            writer.add(np.clip(picture, 0, 255).astype(np.uint8), index % 2, {"log": f"log{seed}-{index // 4}"} | own)
    return open_imageset(folder)


def copy_stages(run, out, *stages):
    """A run folder that has some stages of another run: they count as done where the settings are the same."""
    for stage in stages:
        shutil.copytree(run / stage, out / stage)
        shutil.copytree(run / "stages" / stage, out / "stages" / stage)
    return out


def runs_of_two_arms(folder):
    """Six runs as ``evaluate --out`` leaves them: arms ``random`` and ``other``, three seeds each, and their book."""
    from roadstill.evaluation import RECORDS
    from roadstill.evaluation.selftest import Simulation, World

    world = World(Simulation(logs=8, images_per_log=12), 0)
    for name in ("random", "other"):
        for run in world.runs(name, range(3)):
            run.save(folder / f"{name}-{run.seed}", book=folder / RECORDS)
    return folder


def tiny_run(folder):
    """A finished run on noise in class folders, arms ``random`` and ``medoids``, three seeds; made in seconds."""
    from roadstill.pipeline import run_recipe
    from roadstill.recipes import parse_recipe

    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(30):
            picture = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
            picture.save(folder / "data" / name / f"{number}.png")
    agent = {"network": "convnet", "steps": 1, "image_px": 16}
    fields = {
        "name": "tiny",
        "data": str(folder / "data"),
        "source": "folder",
        "image_px": 16,
        "per_class": 2,
        "looks": 1,
        "agent": agent,
        "full_agent": agent,
        "arms": {"random": {"kind": "random", "label": "random"}, "medoids": {"kind": "medoids", "label": "medoids"}},
        "features": "pixels",
    }
    run_recipe(parse_recipe(fields, where="test"), folder / "run", workers=1)
    return folder / "run"
