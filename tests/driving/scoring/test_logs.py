"""Scenes of logs: of the built-in world, judged beside NAVSIM's own judgement, and of logs made by hand."""

from pathlib import Path

import numpy as np
import pytest
from made_logs import make_log
from made_maps import CORNER_M, crossroads
from safetensors.numpy import load_file

from roadstill.driving.maps import GeoPackageMap
from roadstill.driving.plan import filled
from roadstill.driving.poses import wrapped
from roadstill.driving.scoring import score
from roadstill.driving.scoring.logs import LogScenes
from roadstill.driving.vehicle import Motion, follow
from roadstill.errors import UserError
from roadstill.sources.pickles.unpickle import read_pickle
from roadstill.world.logs import write_world

GOLDEN = load_file(Path(__file__).parents[2] / "golden" / "scores.safetensors")
TERMS = ("no_collision", "drivable", "direction", "lights", "keeps_away", "lane_keeping", "comfort")
TERMS_V1 = ("no_collision", "drivable", "direction", "keeps_away", "comfort")
START_M = CORNER_M + np.array([20.0, -1.75])


def driven(start, plans):
    """Plans [n, 8, 3] as a car sees them, driven from where it is."""
    pose = start.poses[0]
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    x, y, yaw = np.moveaxis(np.concatenate([np.zeros((len(plans), 1, 3)), plans], axis=1), -1, 0)
    places = [pose[0] + x * cos - y * sin, pose[1] + x * sin + y * cos, wrapped(yaw + pose[2])]
    begin = Motion(*(np.repeat(values, len(plans)) for values in start))
    return follow(filled(np.stack(places, axis=-1), np.arange(9) * 0.5), begin)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Ours of every scene: terms, progress, score and start."""
    root = write_world(tmp_path_factory.mktemp("scores") / "world", drives=2, seed=77)
    maps = {path.parent.parent.name: GeoPackageMap(path) for path in (root / "maps").rglob("map.gpkg")}
    logs, longer = [], []
    for path in sorted((root / "navsim_logs" / "mini").glob("*.pkl")):
        entries = read_pickle(path)
        road = maps[entries[0]["map_location"]]
        logs.append(LogScenes(entries, road, path.stem))
        longer.append(LogScenes(entries, road, path.stem, ahead=10))
    rows = []
    for row, (log, position) in enumerate(GOLDEN["frame"].tolist()):
        start = logs[log].start(position)
        motion = driven(start, GOLDEN["plans"][row].astype(np.float64))
        scores = score(logs[log].scene(position), motion, reference_m=float(GOLDEN["reference_m"][row]))
        reference_m = float(GOLDEN["reference_v1_m"][row])
        first = score(longer[log].scene(position), motion, reference_m=reference_m, v1=True)
        rows.append(
            {
                "start": [start.x_m[0], start.y_m[0], start.speed_mps[0]],
                "terms": np.stack([getattr(scores, name) for name in TERMS], axis=-1),
                "terms_v1": np.stack([getattr(first, name) for name in TERMS_V1], axis=-1),
                "progress_m": scores.progress_m,
                "progress": scores.progress,
                "progress_v1": first.progress,
                "score": scores.pdm_like,
                "score_v1": first.pdm_like,
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_the_world_is_the_one_that_was_judged(found):
    np.testing.assert_allclose(found["start"], GOLDEN["start"], atol=1e-6)


@pytest.mark.parametrize(("terms", "names"), [("terms", TERMS), ("terms_v1", TERMS_V1)])
def test_terms_equal_navsims(found, terms, names):
    expected = GOLDEN[terms] / 2
    for number, name in enumerate(names):
        np.testing.assert_array_equal(found[terms][..., number], expected[..., number], err_msg=name)
        assert 0 < (expected[..., number] < 1).mean() < 0.6, name


@pytest.mark.parametrize("name", ["progress_m", "progress", "progress_v1", "score", "score_v1"])
def test_progress_and_scores_equal_navsims(found, name):
    np.testing.assert_allclose(found[name], GOLDEN[name], atol=1e-5)


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    return GeoPackageMap(crossroads().write(tmp_path_factory.mktemp("town") / "map.gpkg"))


def entries(count=12, speed_mps=8.0, **changes):
    """A log of one car to the east in the right lane with another 20 m ahead of it."""
    made = make_log(count, 1)
    for at, frame in enumerate(made):
        frame |= {
            "ego2global_translation": np.array([START_M[0] + at * speed_mps / 2, START_M[1], 0.0]),
            "ego2global_rotation": np.array([1.0, 0, 0, 0]),
            "ego_dynamic_state": [speed_mps, 0.0, 0.0, 0.0],
            "roadblock_ids": ["1", "2", "5"],
            "traffic_lights": [(22, at < 2), (21, True), (31, True)],
        }
        frame["anns"] = {
            "gt_boxes": np.array([[20.0, 0, 1, 4, 2, 1.5, 0]]),
            "gt_names": np.array(["vehicle"]),
            "gt_velocity_3d": np.array([[speed_mps, 0, 0]]),
            "instance_tokens": ["a"],
            "track_tokens": ["car"],
        }
        frame |= changes
    return made


def test_a_scene_of_a_log(road):
    logs = LogScenes(entries(), road)
    assert list(logs.positions) == [0, 1, 2, 3]
    scene, start = logs.scene(3), logs.start(3)
    assert start.poses.tolist() == [[START_M[0] + 12, START_M[1], 0]]
    np.testing.assert_allclose(scene.tracks.boxes[0, [0, 40], :2] - START_M, [[32, 0], [64, 0]], atol=1e-6)
    np.testing.assert_allclose(scene.human[[0, 40], 0] - START_M[0], [12, 44], atol=1e-6)
    assert scene.route == {"1", "2", "5"}
    assert scene.past is not None
    assert len(scene.past.motion.x_m) == 14  # NAVSIM leaves out the step before now
    np.testing.assert_allclose(scene.past.motion.x_m - START_M[0], np.arange(14) * 0.8, atol=1e-6)
    assert logs.scene(2).past is None
    found = score(scene, driven(start, np.stack([4.0 * np.arange(1, 9), np.zeros(8), np.zeros(8)], axis=-1)[None]))
    assert found.fde_m[0] < 0.2
    assert found.reference_m == pytest.approx(32, abs=1e-3)
    assert found.no_collision.tolist() == [1]
    assert found.comfort.tolist() == found.lane_keeping.tolist() == [True]


def test_tracks_may_be_known_longer(road):
    logs = LogScenes(entries(), road, ahead=10)
    assert list(logs.positions) == [0, 1]
    assert logs.scene(1).tracks.there.shape == (1, 51)
    assert logs.scene(1).human.shape == (41, 3)
    with pytest.raises(UserError, match="ahead is 7"):
        LogScenes(entries(), road, ahead=7)


def test_a_broken_frame_spoils_only_its_scenes(road):
    made = entries(20)
    made[2] = {}
    logs = LogScenes(made, road)
    assert logs.scene(6).past is not None
    for position in (0, 2, 5):
        with pytest.raises(UserError, match="frame 2: "):
            logs.scene(position)


def test_red_lights_are_those_of_the_route_and_hold_until_the_next_frame(road):
    red = LogScenes(entries(), road).scene(0).red
    assert len(red.areas) == 2  # 31 leads elsewhere
    closed = sorted(flags.sum() for flags in red.closed)
    assert closed == [10, 41]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: entries(8), "no scene begins at frame 0 of 8; 8 frames are needed after it"),
        (lambda: entries(timestamp=5), "frame 1 is not 0.5 s after the one before"),
        (lambda: entries(roadblock_ids=[]), "no block of the route"),
        (lambda: entries(roadblock_ids=["elsewhere"]), "no block of the route"),
        (lambda: entries(ego2global_translation=np.full(3, np.nan)), "frame 0: ego2global_translation: a value"),
        (lambda: [None] * 12, "frame 0: timestamp: missing"),
    ],
)
def test_what_is_wrong_is_told(road, make, says):
    with pytest.raises(UserError, match=says) as error:
        LogScenes(make(), road, "a-log").scene(0)
    assert "\n" not in str(error.value)
