"""Stop signs, humps, narrow places and school buses: where the ego has to be slow, and where it need not."""

import random

import pytest
from fake_traffic import FakeTraffic

from roadstill.world.crossings import SchoolBus
from roadstill.world.orders import Narrows, SpeedBump, StopSign
from roadstill.world.passers import FOREVER_S

SITE_M = 100.0


def made(kind, **wanted):
    """The first one that has the wanted attributes."""
    for number in range(200):
        episode = kind(random.Random(number), SITE_M, 12.0)
        if all(getattr(episode, name) == value for name, value in wanted.items()):
            return episode
    raise AssertionError(wanted)


def test_the_ego_stops_at_a_stop_sign_though_nobody_comes():
    sign, traffic = made(StopSign, crossed=False), FakeTraffic(front_m=SITE_M - 30.0)
    sign.tick(traffic)
    ((line,),) = [sign.hazards(traffic)]
    assert (line.s_m, line.cause, line.fixed) == (SITE_M, "stop_sign", True)
    assert sign.wary
    assert sign.stop_sign_m == sign.stop_line_m > SITE_M
    traffic.front_m, traffic.speed_mps = SITE_M - 0.5, 1.7
    sign.tick(traffic)
    assert sign.stopped
    assert sign.hazards(traffic) == []
    assert not sign.wary


def test_at_some_stop_signs_somebody_crosses_who_goes_first():
    sign, traffic = made(StopSign, crossed=True), FakeTraffic(front_m=SITE_M - 60.0, speed_mps=9.0)
    for _ in traffic.ticks(sign, 6.0):
        if sign.begun_s < FOREVER_S:
            break
    assert any(passer.role == "crossing" for passer in traffic.passers)
    traffic.time_s = sign.begun_s + sign.notice_s + 0.1
    assert len(sign.hazards(traffic)) == 2


@pytest.mark.parametrize("kind", [SpeedBump, Narrows])
def test_places_are_passed_slowly_and_left_fast(kind):
    place, traffic = made(kind), FakeTraffic(front_m=SITE_M - 20.0)
    place.prepare(traffic)
    ((hazard,),) = [place.hazards(traffic)]
    assert (hazard.speed_mps, hazard.cause, hazard.fixed) == (place.over_mps, kind.cause, True)
    assert place.cruise(FakeTraffic(front_m=SITE_M + 1.0)) == pytest.approx(place.over_mps + 0.5)
    assert place.cruise(FakeTraffic(front_m=place.over_m + 5.0)) is None
    assert place.hazards(FakeTraffic(front_m=SITE_M - 20.0, speed_mps=place.over_mps)) == []


def test_a_hump_is_still_in_sight_when_the_ego_is_slow():
    assert made(SpeedBump).bump_m > SITE_M + 3.0


def test_narrow_places_leave_room_for_the_ego_and_close_both_sides():
    narrows, traffic = made(Narrows), FakeTraffic(lane=1)
    narrows.prepare(traffic)
    lane_m = traffic.lane_offset_m(1)
    beside = [passer.offset_m - lane_m for passer in traffic.passers if passer.kind == "barrier"]
    assert min(beside) < 0 < max(beside)
    for passer in traffic.passers:
        half_m = 0.2 if passer.heading_rad > 1 else 0.75  # along the road or across
        assert abs(passer.offset_m - lane_m) - half_m > 1.2
    assert narrows.hazards(FakeTraffic(front_m=SITE_M - 20.0, lane=0)) == []  # that is another lane


def test_children_leave_a_school_bus_while_its_lamps_flash():
    bus, traffic = made(SchoolBus, passive=False), FakeTraffic(front_m=SITE_M - 60.0, speed_mps=9.0)
    bus.prepare(traffic)
    vehicle = bus.bus
    assert (vehicle.beacon, vehicle.turning) == ("", "both")
    for _ in traffic.ticks(bus, 6.0):
        if bus.begun_s < FOREVER_S:
            break
    assert (vehicle.beacon, vehicle.turning) == ("school", "")
    assert any(walker.go_s < FOREVER_S for walker in bus.people)
    traffic.time_s = bus.begun_s + bus.notice_s + 0.1
    assert [hazard.cause for hazard in bus.hazards(traffic)] == ["school_bus"]
    assert bus.oncoming_wall(traffic.time_s) > bus.site_m
    traffic.time_s = bus.free_s + 0.1
    bus.tick(traffic)
    assert (vehicle.beacon, bus.hazards(traffic)) == ("", [])


def test_some_school_buses_are_calm():
    bus, traffic = made(SchoolBus, passive=True), FakeTraffic(front_m=SITE_M - 60.0, speed_mps=9.0)
    bus.prepare(traffic)
    traffic.run(bus, 6.0)
    assert bus.begun_s == FOREVER_S
    assert bus.bus.beacon == ""
