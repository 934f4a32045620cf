import math
import os
import pickle
import pickletools
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from roadstill.errors import UserError
from roadstill.world.drive import simulate
from roadstill.world.logs import namings_of, read_world, scenes_of, write_world

FRAMES = (20, 14, 13)
KEYS = {
    "token": str, "frame_idx": int, "timestamp": int, "log_name": str, "log_token": str, "scene_name": str,
    "scene_token": str, "map_location": str, "vehicle_name": str, "roadblock_ids": list, "can_bus": np.ndarray,
    "ego2global_translation": np.ndarray, "ego2global_rotation": np.ndarray, "ego2global": np.ndarray,
    "lidar2ego": np.ndarray, "lidar2ego_translation": np.ndarray, "lidar2ego_rotation": list,
    "lidar2global": np.ndarray, "ego_dynamic_state": list, "traffic_lights": list, "driving_command": np.ndarray,
    "lidar_path": str, "cams": dict, "anns": dict,
}  # fmt: skip
CAMERAS = {"CAM_F0", "CAM_L0", "CAM_R0", "CAM_L1", "CAM_R1", "CAM_L2", "CAM_R2", "CAM_B0"}
NAMES = {"vehicle", "pedestrian", "bicycle", "traffic_cone", "barrier", "czone_sign", "generic_object"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("w") / "world", drives=2, seed=11, frames=FRAMES)


@pytest.fixture(scope="module")
def logs(world):
    return {p.stem: pickle.loads(p.read_bytes()) for p in sorted((world / "navsim_logs" / "mini").glob("*.pkl"))}


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_every_key_has_the_genuine_type(logs):
    assert len(logs) == 6
    for name, frames in logs.items():
        assert re.fullmatch(r"\d{4}(\.\d\d){5}_veh-\d\d_\d{5}_\d{5}", name)
        for frame in frames:
            for key, kind in KEYS.items():
                assert type(frame[key]) is kind, key
            assert set(frame) - set(KEYS) == {"sample_prev", "sample_next"}
            assert re.fullmatch(r"[0-9a-f]{16}", frame["token"])
            assert frame["can_bus"].shape == (18,)
            assert frame["can_bus"].dtype == np.float64
            assert [type(v) for v in frame["ego_dynamic_state"]] == [float] * 4
            assert all(type(i) is int and type(red) is bool for i, red in frame["traffic_lights"])
            assert frame["driving_command"].tolist() in np.eye(4, dtype=int).tolist()
            assert frame["roadblock_ids"]
            assert all(type(block) is str for block in frame["roadblock_ids"])
            assert set(frame["cams"]) == CAMERAS
            for camera, cam in frame["cams"].items():
                assert re.fullmatch(rf"{name}/{camera}/[0-9a-f]{{16}}\.jpg", cam["data_path"])
                assert frame["token"] not in cam["data_path"]


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
        turn = frame["ego2global"][:2, :2]
        for box, velocity, track in zip(anns["gt_boxes"], anns["gt_velocity_3d"], anns["track_tokens"], strict=True):
            thing = objects[track]
            place = turn @ box[:2] + frame["ego2global_translation"][:2]
            assert place == pytest.approx([thing.x_m, thing.y_m], abs=1e-6)
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
    from roadstill.filters import FrameFilter, SceneFilter, Sieve
    from roadstill.sources.navsim import read_log

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
        assert frame["ego2global_translation"][0] == scene.ego_x_m
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
        f"write_world(Path(sys.argv[1]), drives=2, seed=11, frames={FRAMES})"
    )
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again")], check=True, env=environment)
    assert contents(tmp_path / "again") == contents(world)
    other = write_world(tmp_path / "other", drives=1, seed=12, frames=(5,))
    assert not contents(other).keys() & {k for k in contents(world) if k.endswith(".pkl")}


def test_refusals_name_the_way_out(world, tmp_path):
    with pytest.raises(UserError, match="not an empty folder"):
        write_world(world, drives=1, seed=1)
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
