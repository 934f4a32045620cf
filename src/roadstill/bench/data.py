"""Benchmarks of the way from logs to pictures: reading and filtering frames, cropping and resizing pictures."""

import io
import pickle
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from roadstill.bench.timing import Row, in_turns, table, table_of
from roadstill.data.picture_store import PictureConfig
from roadstill.frames import FrameTable
from roadstill.frames.filters import FrameFilter, SceneFilter
from roadstill.frames.splits import Cut, write_index
from roadstill.frames.store import FrameStore
from roadstill.sources.navsim.logs import frames_of
from roadstill.sources.pickles.arrays import LogMachine
from roadstill.sources.pickles.unpickle import MAX_STEPS, read_pickle
from roadstill.world.logs import write_world

FRAMES_PER_LOG, BOXES = 600, 70  # as in a real log
SIZES = (62_500, 250_000, 1_000_000)


def bench_index(*, frames: int = SIZES[-1], rounds: int = 3) -> str:
    """The cost of logs, against Python's own unpickler; then cost and memory over the size.

    Frames of the large runs come from one log in memory under new names, so that they measure what follows after
    unpickling: checks, columns, the store, filters and the split.
    """
    entries = _entries("2021.05.12.22.00.38_veh-35_01008_01518")
    data = pickle.dumps(entries, 4)
    name = entries[0]["log_name"]
    found, _ = frames_of(name, entries)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.pkl"
        path.write_bytes(data)
        works: dict[str, Callable[[], object]] = {
            "read safely": lambda: read_pickle(path),
            "the same, if it is irregular": lambda: LogMachine(data).run(MAX_STEPS),
            "checks and columns": lambda: frames_of(name, entries),
            "filters and split": lambda: _cut([found] * 4, Path(folder)),
            "pickle.load (runs whatever it holds)": lambda: pickle.loads(path.read_bytes()),
        }
        seconds = in_turns(works, rounds=rounds)
    rows = [Row(each, seconds[each], len(entries) * (4 if "split" in each else 1)) for each in works]
    lines = [table(f"a log of {len(entries)} frames with {BOXES} boxes, {len(data):,} bytes", rows, unit="frames")]
    lines.append(_made_logs(rounds))
    lines.append(f"{'frames':>12} {'seconds':>9} {'frames/s':>10} {'peak memory, GiB':>17}")
    points = []
    for size in [each for each in SIZES if each <= frames]:
        spent, peak = _large(entries, size)
        points.append((np.log(size), np.log(spent)))
        lines.append(f"{size:>12,} {spent:>9.1f} {size / spent:>10,.0f} {peak:>17.2f}")
    if len(points) > 1:
        slope = np.polyfit([x for x, _ in points], [y for _, y in points], 1)[0]
        lines.append(f"log-log slope of cost over frames: {slope:.2f}")
    return "\n".join(lines)


def _made_logs(rounds: int) -> str:
    """The table of reading files that the built-in world wrote."""
    with TemporaryDirectory() as folder:
        write_world(Path(folder) / "world", drives=2, seed=0)
        paths = sorted(Path(folder).rglob("*.pkl"))
        frames, size = sum(len(read_pickle(path)) for path in paths), sum(path.stat().st_size for path in paths)
        works: dict[str, Callable[[], object]] = {
            "read safely": lambda: [read_pickle(path) for path in paths],
            "pickle.load (runs whatever it holds)": lambda: [pickle.loads(path.read_bytes()) for path in paths],
        }
        seconds = in_turns(works, rounds=rounds)
    title = f"{len(paths)} logs of the built-in world, {frames} frames, {size:,} bytes"
    return table_of(title, seconds, frames, unit="frames")


def _large(entries: list[dict[str, Any]], size: int) -> tuple[float, float]:
    """Seconds to check, store, filter and split this many frames, and the process's peak memory so far in GiB."""
    with TemporaryDirectory() as folder:
        store = FrameStore(Path(folder) / "frames")
        start = time.perf_counter()
        for number in range(-(-size // len(entries))):
            log = f"2021.05.12.22.00.38_veh-{number // 8}_{number:05d}_99999"
            renamed = [entry | {"log_name": log, "token": f"{number}-{entry['token']}"} for entry in entries]
            store.write(log, *frames_of(log, renamed))
        _cut(store.tables(store.logs()), Path(folder))
        spent = time.perf_counter() - start
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _cut(tables: Iterator[FrameTable] | list[FrameTable], folder: Path) -> None:
    scenes = SceneFilter()
    one_part = {"train": 1.0}
    write_index(tables, folder, Cut(scenes.rules(), scenes, FrameFilter(), shares=one_part))


def _entries(log: str) -> list[dict[str, Any]]:
    """Entries as in real logs, with invented numbers."""
    rng = np.random.default_rng(0)
    camera = {"sensor2lidar_rotation": np.eye(3), "sensor2lidar_translation": np.zeros(3), "cam_intrinsic": np.eye(3),
              "distortion": np.zeros(5)}  # fmt: skip
    names = ["CAM_F0", "CAM_L0", "CAM_R0", "CAM_L1", "CAM_R1", "CAM_L2", "CAM_R2", "CAM_B0"]
    tracks = [f"{number:016x}" for number in range(BOXES)]
    return [
        {
            "token": f"{index:016x}",
            "timestamp": 1_620_000_000_000_000 + 500_000 * index,
            "log_name": log,
            "map_location": "us-ma-boston",
            "roadblock_ids": [str(number) for number in range(20)],
            "can_bus": rng.normal(size=18),
            "ego2global": np.eye(4),
            "lidar2global": np.eye(4),
            "ego_dynamic_state": [float(value) for value in rng.normal(4, 3, 4)],
            "driving_command": np.eye(4, dtype=int)[1],
            "traffic_lights": [(int(number), bool(number % 2)) for number in range(6)],
            "cams": {name: {"data_path": f"{log}/{name}/{index:016x}.jpg", **camera} for name in names},
            "anns": {
                "gt_boxes": rng.normal(size=(BOXES, 7)),
                "gt_names": np.array(["vehicle"] * BOXES),
                "gt_velocity_3d": rng.normal(size=(BOXES, 3)),
                "instance_tokens": [f"{index:08x}{number:08x}" for number in range(BOXES)],
                "track_tokens": tracks,
            },
        }
        for index in range(FRAMES_PER_LOG)
    ]


def bench_prepare(*, pictures: int = 24, rounds: int = 5) -> str:
    """Cropping and resizing 1920 x 1080 JPEGs to 256 pixels on one core, against plain Pillow."""
    fast, full = PictureConfig(256), PictureConfig(256, "full")
    with TemporaryDirectory() as folder:
        paths = [_camera_picture(Path(folder) / f"{number}.jpg", number) for number in range(pictures)]
        cut: dict[str, Callable[[], object]] = {
            "ours, fast": lambda: [fast.square(path) for path in paths],
            "ours, every pixel decoded": lambda: [full.square(path) for path in paths],
            "plain Pillow": lambda: [_plainly(path) for path in paths],
        }
        whole: dict[str, Callable[[], object]] = {
            "ours, fast": lambda: [fast.png(path) for path in paths],
            "plain Pillow": lambda: [_plain_png(path) for path in paths],
        }
        seconds = [in_turns(works, rounds=rounds) for works in (cut, whole)]
        kilobytes = sum(path.stat().st_size for path in paths) / pictures / 1000
        psnr = [_psnr_db(path) for path in paths]
    tables = [
        table_of(title, found, pictures, unit="pictures")
        for title, found in zip(("decoded, cropped, resized", "the same to PNG"), seconds, strict=True)
    ]
    return "\n".join(
        [
            f"{pictures} pictures of 1920 x 1080, {kilobytes:.0f} kB each, to 256 x 256",
            *tables,
            f"fast against full: PSNR {np.mean(psnr):.1f} dB, worst {min(psnr):.1f}",
        ]
    )


def _plainly(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB").crop((420, 0, 1500, 1080)).resize((256, 256), Image.Resampling.BICUBIC)


def _plain_png(path: Path) -> bytes:
    buffer = io.BytesIO()
    _plainly(path).save(buffer, "PNG")
    return buffer.getvalue()


def _psnr_db(path: Path) -> float:
    one, other = (np.asarray(PictureConfig(256, decode).square(path), float) for decode in ("fast", "full"))
    return float(10 * np.log10(255**2 / np.mean((one - other) ** 2)))


def _camera_picture(path: Path, seed: int) -> Path:
    """A picture with as much detail at every scale as a camera's, some 200 kB."""
    rng = np.random.default_rng(seed)
    total = np.full((1080, 1920, 3), 128.0, np.float32)
    for cells in (4, 8, 16, 32, 64, 128, 256, 512):
        noise = rng.normal(0, 1, (cells * 9 // 16, cells, 3)).astype(np.float32)
        planes = [Image.fromarray(noise[:, :, c]).resize((1920, 1080), Image.Resampling.BICUBIC) for c in range(3)]
        total += 90 / cells**0.5 * np.stack([np.asarray(plane) for plane in planes], 2)
    Image.fromarray(total.clip(0, 255).astype(np.uint8)).save(path, "JPEG", quality=85)
    return path
