"""A car alone on a map of one crossroads."""

import numpy as np
import pytest
from made_maps import CORNER_M, crossroads

from roadstill.driving.plan import Driver
from roadstill.errors import UserError

pytest.importorskip("shapely")
from roadstill.driving.alone import drive_along, from_above, line_of
from roadstill.driving.maps import GeoPackageMap


@pytest.fixture
def road(tmp_path):
    return GeoPackageMap(crossroads().write(tmp_path / "map.gpkg"))


def test_a_car_turns_left_slowly_and_goes_on(road):
    line = line_of(road, ["1", "6"])
    assert line.lanes == ("11", "31", "61")
    motion = drive_along(line, Driver(), seconds=60)
    arc = line.project(motion.poses[:, :2])
    away = np.abs(line.at(arc)[:, :2] - motion.poses[:, :2])
    assert away[arc < line.length_m - 1].max() < 1.0
    assert motion.yaw_rad[-1] == pytest.approx(np.pi / 2, abs=0.05)
    turning = (arc > 104) & (arc < 116)  # a little late, by the limit on jerk
    assert motion.speed_mps[turning].max() < 6.5 < motion.speed_mps.max()
    assert arc[-1] > line.length_m - 10
    assert len(motion.x_m) < 600


def test_the_view_follows_the_car(road):
    line = line_of(road, ["1", "2", "5"])
    motion = drive_along(line, Driver(), seconds=5)
    first, last = from_above(road, line, motion, 0), from_above(road, line, motion, len(motion.x_m) - 1)
    assert first.shape == (768, 768, 3)
    assert not np.array_equal(first, last)
    np.testing.assert_allclose(motion.poses[0, :2] - CORNER_M, line.points_m[0] - CORNER_M)


def test_ways_that_there_are_not_are_named(road):
    with pytest.raises(UserError, match="the block '99' is not in the map"):
        line_of(road, ["1", "99"])
    with pytest.raises(UserError, match="no way leads from block 5 to 1"):
        line_of(road, ["5", "1"])
    with pytest.raises(UserError, match="is not in the map, or has no lane"):
        line_of(road, ["99"])
