import math
import os
import pickle
import pickletools
import re
import shutil
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from roadstill.errors import UserError
from roadstill.world.drive import drives_of, simulate
from roadstill.world.logs import namings_of, read_world, scenes_of, write_world
from roadstill.world.places import place_of

FRAMES = (20, 14, 13)
KEYS = {
    "token": str, "frame_idx": int, "timestamp": int, "log_name": str, "log_token": str, "scene_name": str,
    "scene_token": str, "map_location": str, "vehicle_name": str, "roadblock_ids": list, "can_bus": np.ndarray,
    "ego2global_translation": np.ndarray, "ego2global_rotation": np.ndarray, "ego2global": np.ndarray,
    "lidar2ego": np.ndarray, "lidar2ego_translation": np.ndarray, "lidar2ego_rotation": list,
    "lidar2global": np.ndarray, "ego_dynamic_state": list, "traffic_lights": list, "driving_command": np.ndarray,
    "lidar_path": str, "cams": dict, "anns": dict,
}  # fmt: skip
SHAPES = {
    "can_bus": (18,), "ego2global_translation": (3,), "ego2global_rotation": (4,), "ego2global": (4, 4),
    "lidar2ego": (4, 4), "lidar2global": (4, 4), "lidar2ego_translation": (3,),
}  # fmt: skip
CAMERA_SHAPES = {
    "sensor2lidar_rotation": (3, 3), "sensor2lidar_translation": (3,), "cam_intrinsic": (3, 3), "distortion": (5,),
}  # fmt: skip
LOCATIONS = {"sg-one-north", "us-ma-boston", "us-nv-las-vegas-strip", "us-pa-pittsburgh-hazelwood"}
CAMERAS = {"CAM_F0", "CAM_L0", "CAM_R0", "CAM_L1", "CAM_R1", "CAM_L2", "CAM_R2", "CAM_B0"}
NAMES = {"vehicle", "pedestrian", "bicycle", "traffic_cone", "barrier", "czone_sign", "generic_object"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("w") / "world", drives=2, seed=23, frames=FRAMES)


@pytest.fixture(scope="module")
def logs(world):
    return {p.stem: pickle.loads(p.read_bytes()) for p in sorted((world / "navsim_logs" / "mini").glob("*.pkl"))}


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_every_key_has_the_genuine_type(logs):
    """All rows of the format's table (navsim.md, 1.2), all frames: type and shape first, what they mean below."""
    assert len(logs) == 6
    for name, frames in logs.items():
        assert re.fullmatch(r"\d{4}(\.\d\d){5}_veh-\d\d_\d{5}_\d{5}", name)
        assert type(frames) is list
        for frame in frames:
            assert type(frame) is dict
            for key, kind in KEYS.items():
                assert type(frame[key]) is kind, key
            for key, shape in SHAPES.items():
                assert frame[key].shape == shape, key
                assert frame[key].dtype == np.float64, key
            assert set(frame) - set(KEYS) == {"sample_prev", "sample_next"}  # and none of the optional ones
            assert {type(frame[key]) for key in ("sample_prev", "sample_next")} <= {str, type(None)}
            assert [type(v) for v in frame["ego_dynamic_state"]] == [float] * 4
            assert [type(v) for v in frame["lidar2ego_rotation"]] == [float] * 4
            assert all(type(pair) is tuple for pair in frame["traffic_lights"])
            assert all(type(i) is int and type(red) is bool for i, red in frame["traffic_lights"])
            assert frame["driving_command"].dtype.kind == "i"
            assert frame["driving_command"].shape == (4,)
            assert all(type(block) is str for block in frame["roadblock_ids"])
            for cam in frame["cams"].values():
                assert set(cam) == {"data_path", *CAMERA_SHAPES}
                for key, shape in CAMERA_SHAPES.items():
                    assert cam[key].shape == shape
                    assert cam[key].dtype == np.float64


def test_names_and_tokens(logs):
    tokens, images = set(), set()
    for name, frames in logs.items():
        assert {f["log_name"] for f in frames} == {name}
        for key in ("log_token", "map_location", "vehicle_name"):
            assert len({f[key] for f in frames}) == 1
        assert f"_{frames[0]['vehicle_name']}_" in name
        assert frames[0]["map_location"] in LOCATIONS
        scenes = {}
        for frame in frames:
            scenes.setdefault(frame["scene_token"], []).append(frame)
            for key in ("token", "log_token", "scene_token"):
                assert re.fullmatch(r"[0-9a-f]{16}", frame[key])
            assert re.fullmatch(rf"{name}/MergedPointCloud/[0-9a-f]{{16}}\.pcd", frame["lidar_path"])
            assert set(frame["cams"]) == CAMERAS
            for camera, cam in frame["cams"].items():
                assert re.fullmatch(rf"{name}/{camera}/[0-9a-f]{{16}}\.jpg", cam["data_path"])
                assert frame["token"] not in cam["data_path"]
                images.add(cam["data_path"])
            tokens.add(frame["token"])
        for part in scenes.values():
            assert [f["frame_idx"] for f in part] == list(range(len(part)))
            assert len({f["scene_name"] for f in part}) == 1
    count = sum(len(frames) for frames in logs.values())
    assert (len(tokens), len(images)) == (count, 8 * count)


def test_poses_say_the_same_in_all_their_forms(logs):
    for frames in logs.values():
        for frame in frames:
            bus, turn = frame["can_bus"], frame["ego2global"]
            w, x, y, z = frame["ego2global_rotation"]
            assert bus[:3].tolist() == frame["ego2global_translation"].tolist() == turn[:3, 3].tolist()
            assert bus[3:7].tolist() == [w, x, y, z]
            assert math.hypot(w, x, y, z) == pytest.approx(1.0)
            rotation = [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
            assert turn[:3, :3] == pytest.approx(np.array(rotation), abs=1e-12)
            assert turn[3].tolist() == [0, 0, 0, 1]
            v, aside, accel, across = frame["ego_dynamic_state"]
            assert (bus[7], bus[8], bus[10], bus[11]) == (accel, across, v, aside)
            assert bus[12:15].tolist() == [0, 0, 0]
            assert bus[15] * v == pytest.approx(across)  # yaw rate times speed
            assert bus[16:].tolist() == [0, 0]
            assert frame["lidar2ego"][:3, 3].tolist() == frame["lidar2ego_translation"].tolist()
            assert frame["lidar2ego_rotation"] == [1, 0, 0, 0]
            assert (
                frame["lidar2ego"] == np.eye(4)
            ).all()  # boxes are in the ego frame, and readers project them as such
            assert frame["lidar2global"] == pytest.approx(turn @ frame["lidar2ego"])
            assert 1e5 < turn[0, 3] < 9e5  # metres of a UTM zone
            assert 0 < turn[1, 3] < 9.4e6


def test_command_is_where_the_lane_leads(logs):
    """One-hot left, straight, right, unknown; where the next poses show the way, they agree."""
    told = {0: [], 1: [], 2: [], 3: []}
    for frames in logs.values():
        for index, frame in enumerate(frames):
            assert sorted(frame["driving_command"].tolist()) == [0, 0, 0, 1]
            later = [np.linalg.inv(frame["ego2global"]) @ other["ego2global"][:, 3] for other in frames[index:]]
            beyond = [place for place in later if place[0] > 19.0]
            if beyond and beyond[0][0] < 23.0:
                told[int(frame["driving_command"].argmax())].append(beyond[0][1])
    assert min(told[0], default=9) > 1.0
    assert max(told[2], default=-9) < -1.0
    assert max(map(abs, told[1])) < 3.5
    assert len(told[1]) > 10


def test_boxes_have_the_format_of_the_table(logs):
    moved, off = 0, []
    for frames in logs.values():
        for frame, after in pairwise(frames):
            anns = frame["anns"]
            assert set(anns) == {"gt_boxes", "gt_names", "gt_velocity_3d", "instance_tokens", "track_tokens"}
            count = len(anns["instance_tokens"])
            assert (anns["gt_boxes"].shape, anns["gt_velocity_3d"].shape) == ((count, 7), (count, 3))
            assert anns["gt_boxes"].dtype == anns["gt_velocity_3d"].dtype == np.float64
            assert np.isfinite(anns["gt_boxes"]).all()
            assert (anns["gt_boxes"][:, 3:6] > 0).all()
            assert anns["gt_names"].shape == (count,)
            assert anns["gt_names"].dtype.kind == ("U" if count else "f")  # the genuine trap
            for tokens in (anns["instance_tokens"], anns["track_tokens"]):
                assert type(tokens) is list
                assert len(set(tokens)) == count
                assert all(re.fullmatch(r"[0-9a-f]{16}", token) for token in tokens)
            assert not set(anns["instance_tokens"]) & set(after["anns"]["instance_tokens"])
            later = dict(zip(after["anns"]["track_tokens"], after["anns"]["gt_boxes"], strict=True))
            back = np.linalg.inv(frame["ego2global"]) @ after["ego2global"]
            for box, velocity, name, track in zip(
                anns["gt_boxes"], anns["gt_velocity_3d"], anns["gt_names"], anns["track_tokens"], strict=True
            ):
                if track in later and name == "vehicle":
                    to = back @ [*later[track][:3], 1.0]
                    off.append(np.abs(to[:2] - box[:2] - velocity[:2] / 2).max())
                    moved += bool(np.abs(velocity).max() > 3)
    assert moved > 50
    assert np.quantile(off, 0.95) < 0.5  # they brake, and step out of a side street, within half a second


def test_a_world_of_one_drive_has_a_long_a_fitting_and_a_short_log(tmp_path):
    world = write_world(tmp_path / "one", drives=1, seed=23)
    counts = {p.stem: len(pickle.loads(p.read_bytes())) for p in (world / "navsim_logs" / "mini").glob("*.pkl")}
    assert {14, 13} <= set(counts.values())
    assert max(counts.values()) >= 20
    alone, among = read_world(world).specs()[0], drives_of("demo", 2, 23)[0]
    assert [s.facts for s in simulate(alone)[: len(simulate(among))]] == [s.facts for s in simulate(among)]
    assert {naming.log for naming in namings_of(among)} < set(counts)


def test_front_camera_looks_ahead_with_the_agreed_focal_length(logs):
    cam = next(iter(logs.values()))[0]["cams"]["CAM_F0"]
    assert cam["cam_intrinsic"].tolist() == [
        [pytest.approx(206.0), 0, 128.0],
        [0, pytest.approx(206.0), 72.0],
        [0, 0, 1],
    ]
    assert cam["sensor2lidar_rotation"] @ [0, 0, 1] == pytest.approx([1, 0, 0])  # forward
    assert cam["sensor2lidar_rotation"] @ [1, 0, 0] == pytest.approx([0, -1, 0])  # right
    left = next(iter(logs.values()))[0]["cams"]["CAM_L0"]["sensor2lidar_rotation"] @ [0, 0, 1]
    assert left[1] > 0.5
    for camera in next(iter(logs.values()))[0]["cams"].values():
        assert np.linalg.det(camera["sensor2lidar_rotation"]) == pytest.approx(1.0)


def test_frames_are_chained_in_time(logs):
    tokens = []
    for frames in logs.values():
        assert np.diff([f["timestamp"] for f in frames]).tolist() == [500_000] * (len(frames) - 1)
        assert [f["sample_next"] for f in frames[:-1]] == [f["token"] for f in frames[1:]]
        assert [f["sample_prev"] for f in frames[1:]] == [f["token"] for f in frames[:-1]]
        assert frames[0]["sample_prev"] is None
        assert frames[-1]["sample_next"] is None
        tokens += [f["token"] for f in frames]
    assert len(set(tokens)) == len(tokens) == 2 * sum(FRAMES)
    assert sorted(len(f) for f in logs.values()) == sorted(FRAMES * 2)


def test_poses_and_dynamics_agree(logs):
    for frames in logs.values():
        for frame, after in pairwise(frames):
            moved = np.linalg.norm(after["ego2global_translation"] - frame["ego2global_translation"])
            mean = (frame["ego_dynamic_state"][0] + after["ego_dynamic_state"][0]) / 4
            assert moved == pytest.approx(mean, abs=0.35)
            w, _, _, z = frame["ego2global_rotation"]
            assert frame["ego2global"][1, 0] == pytest.approx(math.sin(2 * math.atan2(z, w)), abs=1e-9)
            assert frame["lidar2global"] == pytest.approx(frame["ego2global"] @ frame["lidar2ego"])


def test_boxes_are_the_scenes_objects_seen_from_the_ego(world, logs):
    spec = read_world(world).specs()[0]
    scenes = simulate(spec)[:20]
    frames = logs[namings_of(spec)[0].log]
    for scene, frame in zip(scenes, frames, strict=True):
        anns = frame["anns"]
        number = len(anns["track_tokens"])
        assert anns["gt_boxes"].shape == (number, 7)
        assert anns["gt_velocity_3d"].shape == (number, 3)
        assert set(anns["gt_names"].tolist()) <= NAMES
        assert len(set(anns["instance_tokens"])) == number
        objects = {thing.track: thing for thing in (*scene.objects, *scene.layout.parked)}
        assert scene.mirrored  # a town with traffic on the left: the log shows the mirror image
        turn, origin = frame["ego2global"][:2, :2], scene.layout.road.points_m[0]
        for box, velocity, track in zip(anns["gt_boxes"], anns["gt_velocity_3d"], anns["track_tokens"], strict=True):
            thing = objects[track]
            place = turn @ box[:2] + frame["ego2global_translation"][:2] - place_of(spec, 0).origin_m
            assert place == pytest.approx([thing.x_m - origin[0], origin[1] - thing.y_m], abs=1e-6)
            facing = turn @ [math.cos(box[6]), math.sin(box[6])]
            assert facing == pytest.approx([math.cos(thing.yaw_rad), -math.sin(thing.yaw_rad)], abs=1e-9)
            assert np.linalg.norm(velocity) == pytest.approx(thing.speed_mps, abs=1e-9)


def test_pickles_name_only_globals_that_old_numpy_has(world):
    wanted = {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
    for path in (world / "navsim_logs" / "mini").glob("*.pkl"):
        strings, memo, found = [], {}, set()
        for op, arg, _ in pickletools.genops(path.read_bytes()):
            if op.name == "STACK_GLOBAL":
                found.add(" ".join(strings[-2:]))
            elif op.name == "MEMOIZE":
                memo[len(memo)] = strings[-1] if strings else None
            elif op.name in ("BINGET", "LONG_BINGET"):
                strings.append(memo.get(arg))
            elif isinstance(arg, str):
                strings.append(arg)
        assert found <= wanted
        assert b"_core" not in path.read_bytes()


def test_our_own_reader_finds_the_windows(world):
    from roadstill.frames.filters import FrameFilter, SceneFilter, Sieve
    from roadstill.sources.navsim.logs import read_log

    sieve = Sieve(SceneFilter().rules(), FrameFilter())
    images = set()
    for path in (world / "navsim_logs" / "mini").glob("*.pkl"):
        frames, record = read_log(path)
        sieve(frames)
        assert record.problems == []
        images |= set(frames.column("image"))
    assert sieve.funnel().rows[2].left == 2 * (7 + 1 + 0)  # 20, 14 and 13 frames hold 7, 1 and 0 windows of 14
    assert images == {image for image, _ in scenes_of(world)}


def test_facts_and_scenes_are_those_of_the_logs(world, logs):
    facts = pq.read_table(world / "facts.parquet").to_pylist()
    again = dict(scenes_of(world))
    assert len(again) == len(facts) == 2 * sum(FRAMES)
    frames = {f["token"]: f for log in logs.values() for f in log}
    for row in facts:
        frame, scene = frames[row["token"]], again[row["image"]]
        assert frame["cams"]["CAM_F0"]["data_path"] == row["image"]
        assert scene.mirrored == (frame["map_location"] == "sg-one-north")
        place = np.array([scene.ego_x_m, scene.ego_y_m])
        if scene.mirrored:
            place[1] = 2 * scene.layout.road.points_m[0, 1] - place[1]
        away = place - frame["ego2global_translation"][:2]
        assert away == pytest.approx(np.round(away), abs=1e-6)  # the map is the simulation, whole metres away
        assert row["see_lead_m"] == scene.facts["see_lead_m"]
        assert (row["light"], row["weather"], row["town"]) == (scene.light, scene.weather, scene.layout.town.name)
        assert frame["log_name"].startswith(row["drive"])


def test_only_the_wanted_logs_are_simulated(world, logs, monkeypatch):
    wanted = sorted(logs)[-1]
    ran = []
    monkeypatch.setattr("roadstill.world.logs.simulate", lambda spec: ran.append(spec.index) or simulate(spec))
    found = list(scenes_of(world, logs={wanted}))
    assert len(found) == len(logs[wanted])
    assert all(image.startswith(wanted) for image, _ in found)
    assert len(ran) == 1
    assert not list(scenes_of(world, drives=[7]))


def test_same_seed_same_bytes_in_another_process(world, tmp_path):
    code = (
        "import sys; from pathlib import Path; from roadstill.world.logs import write_world;"
        f"write_world(Path(sys.argv[1]), drives=2, seed=23, frames={FRAMES})"
    )
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again")], check=True, env=environment)
    assert contents(tmp_path / "again") == contents(world)
    other = write_world(tmp_path / "other", drives=1, seed=12, frames=(5,))
    assert not contents(other).keys() & {k for k in contents(world) if k.endswith(".pkl")}


def test_a_world_that_is_there_stays_as_it_is(world):
    before = {path: path.stat().st_mtime_ns for path in world.rglob("*")}
    assert write_world(world, drives=2, seed=23, frames=FRAMES) == world
    assert {path: path.stat().st_mtime_ns for path in world.rglob("*")} == before


def test_a_full_disk_is_told_as_such_by_maps_too(tmp_path, monkeypatch):
    def full(*arguments):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("roadstill.world.maps.GeoPackage.add", full)
    with pytest.raises(UserError, match="world cannot be written: No space left on device"):
        write_world(tmp_path / "world", drives=1, seed=23, frames=(5,))
    assert not list(tmp_path.iterdir())


def test_refusals_name_the_way_out(world, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "precious").touch()
    with pytest.raises(UserError, match="not an empty folder"):
        write_world(tmp_path / "own", drives=1, seed=1)
    assert (tmp_path / "own" / "precious").exists()
    shutil.rmtree(tmp_path / "own")
    with pytest.raises(UserError, match=r"world holds another world \(seed 23, not 12\); choose another folder, or"):
        write_world(world, drives=2, seed=12, frames=FRAMES)
    with pytest.raises(UserError, match="9000"):
        write_world(tmp_path / "a", drives=1, seed=9000)
    with pytest.raises(UserError, match="at least one drive"):
        write_world(tmp_path / "b", drives=0, seed=1)
    with pytest.raises(UserError, match="demo"):
        write_world(tmp_path / "c", drives=1, seed=1, group="moon")
    (tmp_path / "world.json").write_text('{"format": 99}')
    with pytest.raises(UserError, match="format"):
        read_world(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["world.json"]
