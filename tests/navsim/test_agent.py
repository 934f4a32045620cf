"""The agent for NAVSIM, with a stand-in for the development kit; `pytest -m genuine` runs the kit itself."""

import csv
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import devkit
import numpy as np
import pytest
from made import picture_set
from made_maps import CORNER_M, WIDTH_M, crossroads

from roadstill.agents import AgentConfig, train_agent
from roadstill.errors import UserError
from roadstill.world.logs import write_world
from roadstill.world.pictures import draw_pictures

pytest.importorskip("shapely")
PICTURE = np.zeros((72, 128, 3), np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = AgentConfig(network="convnet", steps=2, image_px=16)
    return train_agent(picture_set(folder / "set", 4, px=32), config=config, seed=0).save(folder / "agent")


@pytest.fixture
def maps(tmp_path):
    folder = tmp_path / "maps" / "us-ma-boston" / "9.12"
    folder.mkdir(parents=True)
    crossroads().write(folder / "map.gpkg")
    return tmp_path / "maps"


@pytest.mark.parametrize("base", [devkit.AgentOfV1, devkit.AgentOfV2])
def test_an_agent_plans_along_the_centerline_in_both_versions(base, trained, maps, monkeypatch):
    agent = devkit.install(monkeypatch, base).BrakeAgent(str(trained), str(maps))
    assert agent.requires_scene
    assert isinstance(agent, base)
    assert hasattr(agent, "known_sampling") == (base is devkit.AgentOfV2)
    sensors = vars(agent.get_sensor_config())
    assert {name: loaded for name, loaded in sensors.items() if loaded} == {"cam_f0": [3]}
    agent.initialize()
    place = (CORNER_M[0] + 60, CORNER_M[1] + WIDTH_M / 2, 0.0)
    agent._decide = lambda sight: 1.0
    trajectory = agent.compute_trajectory(*devkit.scene_of(place, ["1", "3", "6"], PICTURE))
    assert trajectory.poses.dtype == np.float32
    assert trajectory.poses.shape == (8, 3)
    assert trajectory.trajectory_sampling.num_poses == 8
    assert abs(trajectory.poses[-1, 2]) < 1e-6  # still before the turn
    agent._decide = lambda sight: -1.0
    braked = agent.compute_trajectory(*devkit.scene_of(place, ["1", "3", "6"], PICTURE)).poses
    assert braked[-1, 0] < trajectory.poses[-1, 0] / 2


def test_its_own_decisions_come_from_the_picture(trained, maps, monkeypatch):
    agent = devkit.install(monkeypatch, devkit.AgentOfV2).BrakeAgent(str(trained), str(maps))
    agent.initialize()
    place = (CORNER_M[0] + 60, CORNER_M[1] + WIDTH_M / 2, 0.0)
    assert agent.compute_trajectory(*devkit.scene_of(place, ["1", "3", "6"], PICTURE)).poses.shape == (8, 3)
    with pytest.raises(UserError, match="no picture of the front camera"):
        agent.compute_trajectory(*devkit.scene_of(place, ["1", "3", "6"], None))


def test_without_a_route_it_drives_straight_ahead(trained, maps, monkeypatch):
    agent = devkit.install(monkeypatch, devkit.AgentOfV2).BrakeAgent(str(trained), str(maps))
    agent.initialize()
    for route, place in ((["98"], (CORNER_M[0] + 60, CORNER_M[1], 0.5)), (["1"], (0.0, 0.0, 0.5))):
        poses = agent.compute_trajectory(*devkit.scene_of(place, route, PICTURE)).poses
        np.testing.assert_allclose(poses[:, 1:], 0, atol=1e-5)
        assert (np.diff(poses[:, 0]) >= 0).all()


def test_what_is_missing_is_said(trained, maps, monkeypatch, tmp_path):
    kit = devkit.install(monkeypatch, devkit.AgentOfV2)
    monkeypatch.delenv("NUPLAN_MAPS_ROOT", raising=False)
    with pytest.raises(UserError, match="there is no folder of maps ''; set NUPLAN_MAPS_ROOT"):
        kit.BrakeAgent(str(trained))
    with pytest.raises(UserError, match=r"has 40 poses, one every 0\.1 s; take 8, one every 0\.5 s"):
        kit.BrakeAgent(str(trained), str(maps), devkit.Sampling(4, 0.1))
    agent = kit.BrakeAgent(str(trained), str(maps))
    agent.initialize()
    with pytest.raises(UserError, match="has no map of us-nv"):
        agent.compute_trajectory(*devkit.scene_of((0, 0, 0), ["1"], PICTURE, location="us-nv"))


def test_it_is_imported_without_the_kit_but_not_made(trained, monkeypatch):
    for name in [each for each in sys.modules if each.startswith(("navsim", "roadstill.navsim"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "navsim", None)
    from roadstill.navsim import BrakeAgent

    with pytest.raises(UserError, match="NAVSIM's development kit cannot be imported"):
        BrakeAgent(str(trained))


@pytest.mark.genuine
def test_genuine_navsim_scores_every_scene(trained, tmp_path):
    kit = Path(os.environ.get("NAVSIM_DEVKIT_ROOT", "nowhere"))
    lost = [name for name in ("navsim", "nuplan", "hydra") if importlib.util.find_spec(name) is None]
    if lost or not (kit / "navsim").is_dir():
        pytest.skip(
            "set NAVSIM_DEVKIT_ROOT to a checkout of navsim, and put it, nuplan-devkit and what they need on PYTHONPATH"
            f" (not found: {', '.join(lost) or kit})"
        )
    world = write_world(tmp_path / "world", drives=2, seed=77)
    logs = [pickle.loads(path.read_bytes()) for path in (world / "navsim_logs" / "mini").glob("*.pkl")]
    bend = max(([each for each in frames if not each["driving_command"][1]] for frames in logs), key=len)
    frames = bend[len(bend) // 2 :][:4]
    draw_pictures(world, [each["cams"]["CAM_F0"]["data_path"] for each in frames])
    scripts = kit / "navsim" / "planning" / "script"
    both = (scripts / "run_pdm_score_one_stage.py").exists()  # version 2, whose run_pdm_score.py needs other data
    cache = tmp_path / "cache"
    environment = {
        "OPENSCENE_DATA_ROOT": str(world), "NUPLAN_MAPS_ROOT": str(world / "maps"),
        "NUPLAN_MAP_VERSION": "nuplan-maps-v1.0", "NAVSIM_EXP_ROOT": str(tmp_path),
    }  # fmt: skip

    def run(script, *options):
        chosen = "train_test_split.scene_filter"
        scenes = [f"{chosen}.frame_interval=1", f"{chosen}.tokens=[{','.join(each['token'] for each in frames)}]"]
        command = [sys.executable, scripts / script, "train_test_split=mini", "worker=sequential", *scenes, *options]
        subprocess.run(command, check=True, env=os.environ | environment)  # pytest shows what it said

    def scored(name, *agent):
        path = "hydra.searchpath=[pkg://navsim.planning.script.config.common,pkg://roadstill.navsim.conf]"
        places = [f"experiment_name={name}", f"output_dir={tmp_path / name}", f"metric_cache_path={cache}"]
        run("run_pdm_score_one_stage.py" if both else "run_pdm_score.py", path, *agent, *places)
        (table,) = (tmp_path / name).glob("*.csv")
        *rows, _average = csv.DictReader(table.read_text().splitlines())
        assert [row["valid"] for row in rows] == ["True"] * len(frames)
        terms = ["score", "drivable_area_compliance", *["lane_keeping"] * both]
        scores, *terms = (np.array([float(row[term]) for row in rows]) for term in terms)
        assert ((scores >= 0) & (scores <= 1)).all()
        return scores.mean(), *terms

    run("run_metric_caching.py", f"{'metric_cache_path' if both else 'cache.cache_path'}={cache}")
    _, on_the_road, *_ = scored("constant", "agent=constant_velocity_agent")
    assert not on_the_road.any()  # there is a bend
    human, *_ = scored("human", "agent=human_agent")
    brakes = ("agent=brake_agent", f"agent.agent={trained}")
    _, *kept = scored("brakes", *brakes)
    assert np.all(kept)  # road and lane, whatever it decides
    stopped, *_ = scored("stopped", *brakes, "agent.driver={limit_mps:0.1,brake_mps2:8,jerk_mps3:80}")
    assert human > stopped
