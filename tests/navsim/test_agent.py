"""The agent for NAVSIM, with a stand-in for the development kit; `pytest -m genuine` runs the kit itself."""

import sys

import devkit
import numpy as np
import pytest
from made import picture_set
from made_maps import CORNER_M, WIDTH_M, crossroads

from roadstill.agents import AgentConfig, train_agent
from roadstill.errors import UserError

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
