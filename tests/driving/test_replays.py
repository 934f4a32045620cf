"""Drives beside logs: the same decisions, judged where nobody reacts."""

import numpy as np
import pytest

from roadstill.driving.deciding import GUARDS
from roadstill.driving.plan import Driver
from roadstill.errors import UserError
from roadstill.world.logs import write_world
from roadstill.world.pictures import draw_pictures

pytest.importorskip("shapely")
from roadstill.driving.replays import TERMS, Logs, replays, table_of

DECIDERS = {name: (GUARDS[name], 32) for name in ("always-brake", "never-brake")}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    world = write_world(tmp_path_factory.mktemp("replays") / "world", drives=1, seed=77, height_px=48, frames=(16,))
    draw_pictures(world)
    return Logs(world / "navsim_logs" / "mini", world / "sensor_blobs" / "mini", world / "maps")


def test_braking_costs_progress_and_the_human_drives_well(data):
    found = list(replays(data, DECIDERS, driver=Driver(), every=4, shows=1))
    assert [(each.position, each.names) for each in found] == [
        (0, ("human", "constant-speed", "always-brake", "never-brake")),
        (4, ("human", "constant-speed", "always-brake", "never-brake")),
    ]
    assert found[0].shown.shape == (384, 768, 3)
    assert found[1].shown is None
    table = table_of(found)
    assert set(TERMS) <= set(table["human"])
    assert table["always-brake"]["progress"] < table["never-brake"]["progress"]
    assert table["human"]["pdm_like"] > 0.8
    assert table["human"]["ade_m"] < 0.5 < table["always-brake"]["ade_m"]


def test_the_same_scenes_are_driven_each_time_up_to_the_most(data):
    first, again = (list(replays(data, {}, driver=Driver(), every=2, most=3)) for _ in range(2))
    assert len(first) == 3
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.scores.pdm_like, other.scores.pdm_like)


def test_what_cannot_be_driven_is_skipped_and_said(data, tmp_path):
    said = []
    nothing = list(replays(Logs(data.logs, tmp_path, data.maps), DECIDERS, driver=Driver(), skipped=said.append))
    assert (nothing, len(said)) == ([], 1)
    assert "frame 0" in said[0]
    (tmp_path / "broken.pkl").write_bytes(b"no pickle")
    said.clear()
    assert list(replays(Logs(tmp_path, tmp_path, data.maps), {}, driver=Driver(), skipped=said.append)) == []
    assert said[0].startswith("broken.pkl: ")
    with pytest.raises(UserError, match="no scene could be driven"):
        table_of([])
    with pytest.raises(UserError, match="holds no logs"):
        list(replays(Logs(tmp_path / "none", tmp_path, data.maps), {}, driver=Driver()))
    with pytest.raises(UserError, match="has no map of"):
        list(replays(Logs(data.logs, data.sensors, tmp_path), {}, driver=Driver()))
