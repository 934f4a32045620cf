"""Drives of the built-in world as logs in the genuine NAVSIM / OpenScene layout.

``write_world`` writes pickles, maps, facts and what is needed to simulate again; ``scenes_of`` simulates again, so that
the pictures can be drawn later, elsewhere and in part.
"""

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from roadstill.errors import UserError
from roadstill.runs import atomic_path, read_json, seed_of, write_json
from roadstill.runs.progress import track
from roadstill.world.drive import drives_of, schedule, simulate
from roadstill.world.groups import require_kept
from roadstill.world.maps import MapWriter
from roadstill.world.openscene import Naming, frames_of
from roadstill.world.pickles import write_log
from roadstill.world.places import place_of
from roadstill.world.roadmap import RoadMap
from roadstill.world.scene import Scene
from roadstill.world.spec import FRAME_S, DriveSpec

SPLIT = "mini"
FORMAT = 2
"""Format of the record ``world.json``, and of the simulation that it stands for."""


@dataclass(frozen=True)
class World:
    """All that is needed to simulate a written world again."""

    seed: int
    group: str
    drives: int
    width_px: int = 256
    height_px: int = 144
    frames: tuple[int, ...] = ()  # per log; empty: drawn
    format: int = FORMAT

    def specs(self) -> list[DriveSpec]:
        """The drives of this world."""
        return drives_of(self.group, self.drives, self.seed, self.frames)


def write_world(
    out: Path,
    *,
    drives: int,
    seed: int,
    group: str = "demo",
    width_px: int | None = None,
    height_px: int = 144,
    frames: tuple[int, ...] = (),
    reserved: bool = False,
) -> Path:
    """Simulates drives and writes ``navsim_logs/mini/*.pkl``, ``maps``, ``facts.parquet`` and ``world.json``.

    Args:
        out: folder for the world: a new or empty one, or one that holds it already and stays as it is.
        drives: number of drives.
        seed: seed of everything random.
        group: key of ``WORLD_GROUPS``, which stands for towns, light and weather.
        width_px: width of the pictures, which are only named here; 16:9 if not given.
        height_px: height of the pictures.
        frames: number of frames of each log of a drive; 3 to 5 logs of 40 to 60 frames if empty.
        reserved: whether a seed that is kept for the last confirmation is allowed.

    Raises:
        UserError: for a folder in use, also by another world, a reserved seed, or sizes that make no sense.
    """
    require_kept("seed", seed, group, reserved=reserved)
    width_px = height_px * 16 // 9 if width_px is None else width_px
    if seed < 0 or drives < 1 or width_px < 16 or height_px < 16 or any(count < 1 for count in frames):
        raise UserError(
            f"seed {seed}, drives {drives}, {width_px}x{height_px} px, frames {frames}: "
            "a world needs a seed >= 0, at least one drive, pictures of 16 px and logs of one frame"
        )
    world = World(seed, group, drives, width_px, height_px, tuple(frames))
    if _is_there(world, out):
        return out
    specs = world.specs()
    with atomic_path(out) as temporary:
        logs = temporary / "navsim_logs" / SPLIT
        logs.mkdir(parents=True)
        (temporary / "sensor_blobs" / SPLIT).mkdir(parents=True)
        writer: pq.ParquetWriter | None = None
        try:
            with closing(MapWriter(temporary / "maps")) as maps:
                for spec in track(specs, "drives"):
                    rows = _write_drive(logs, maps, world, spec)
                    if writer is None:
                        writer = pq.ParquetWriter(temporary / "facts.parquet", rows.schema)
                    writer.write_table(rows)
        finally:
            if writer is not None:
                writer.close()
        write_json(temporary / "world.json", asdict(world))
    return out


def _is_there(world: World, out: Path) -> bool:
    """Whether the folder holds this world's logs and maps, of which all were written or none.

    Raises:
        UserError: it holds something else.
    """
    if not out.exists() or (out.is_dir() and next(out.iterdir(), None) is None):
        return False
    if not (out / "world.json").is_file():
        raise UserError(f"{out} exists and is not an empty folder; choose another folder for the world")
    if (found := read_world(out)) != world:
        name, old, new = next(
            (name, value, getattr(world, name)) for name, value in vars(found).items() if value != getattr(world, name)
        )
        raise UserError(
            f"{out} holds another world ({name} {old}, not {new}); choose another folder, or take that world's settings"
        )
    return True


def read_world(root: Path) -> World:
    """The world that was written to a folder.

    Raises:
        UserError: if ``world.json`` is missing or of another format.
    """
    record = read_json(root / "world.json")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{root / 'world.json'} is not of world format {FORMAT}; write the world again")
    try:
        return World(**{**record, "frames": tuple(record["frames"])})
    except (KeyError, TypeError) as error:
        raise UserError(f"{root / 'world.json'} is not a world's record ({error}); write the world again") from None


def scenes_of(
    root: Path, *, drives: Collection[int] | None = None, logs: Collection[str] | None = None
) -> Iterator[tuple[str, Scene]]:
    """Image path (relative to ``sensor_blobs/mini``) and scene of every frame, simulated again drive by drive.

    Args:
        root: folder of a written world.
        drives: indices of the wanted drives; all if not given.
        logs: names of the wanted logs; drives without any of them are not simulated.
    """
    for spec in read_world(root).specs():
        if drives is not None and spec.index not in drives:
            continue
        namings = namings_of(spec)
        if logs is not None and not any(naming.log in logs for naming in namings):
            continue
        for scene in simulate(spec):
            naming = namings[int(scene.facts["log"])]
            if logs is None or naming.log in logs:
                yield naming.image(int(scene.facts["frame"])), scene


def namings_of(spec: DriveSpec) -> list[Naming]:
    """The names of a drive's logs and of everything in them; needs no simulation."""
    hour = {"day": 9, "dusk": 18, "night": 21}[spec.light]
    extra = seed_of("clock", spec.seed, spec.index, spec.town)
    day = datetime(2021, 3, 1, hour, tzinfo=timezone.utc) + timedelta(days=spec.index)
    start = day + timedelta(seconds=extra % 7200)
    vehicle = f"veh-{extra // 7200 % 60 + 1:02d}"
    namings = []
    for number, (start_s, count) in enumerate(schedule(spec)):
        end_s = start_s + round(count * FRAME_S)
        log = f"{start:%Y.%m.%d.%H.%M.%S}_{vehicle}_{start_s:05d}_{end_s:05d}"
        key = (spec.seed, spec.index, spec.town, number)
        namings.append(Naming(log, vehicle, key, round(start.timestamp() * 1e6), count))
    return namings


def _write_drive(folder: Path, maps: MapWriter, world: World, spec: DriveSpec) -> pa.Table:
    namings = namings_of(spec)
    rows: list[dict[str, float | str | bool]] = []
    for number, group in groupby(simulate(spec), key=lambda scene: int(scene.facts["log"])):
        naming, scenes = namings[number], list(group)
        road = RoadMap(scenes[0].layout, place_of(spec, number))
        maps.add(road)
        write_log(folder / f"{naming.log}.pkl", frames_of(naming, scenes, road, world.width_px, world.height_px))
        for frame, scene in enumerate(scenes):
            facts = {name: value for name, value in scene.facts.items() if name.startswith("see_") or name == "cause"}
            rows.append(
                {
                    "token": naming.token(frame),
                    "log": naming.log,
                    "drive": naming.drive,
                    "image": naming.image(frame),
                    "town": spec.town,
                    "light": spec.light,
                    "weather": spec.weather,
                    **facts,
                }
            )
    return pa.Table.from_pylist(rows)
