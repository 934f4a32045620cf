"""Sideshows look like reasons to brake and are none."""

import random

import pytest
from fake_traffic import FakeTraffic

from roadstill.world.kinds import SIDESHOWS
from roadstill.world.sideshows import FarLead, NeighboursBrake, Talkers

SITE_M = 100.0


def made(kind, seed=1):
    return kind(random.Random(seed), SITE_M, 12.0)


@pytest.mark.parametrize("kind", SIDESHOWS)
@pytest.mark.parametrize("lanes", [1, 2])
def test_nobody_need_brake_for_a_sideshow(kind, lanes):
    for seed in range(4):
        show = made(kind, seed)
        traffic = FakeTraffic(front_m=SITE_M - 100.0, lanes=[[] for _ in range(lanes)])
        show.prepare(traffic)
        for time_s in traffic.ticks(show, 14.0):
            assert show.hazards(traffic) == []
            assert show.wall(time_s) is show.oncoming_wall(time_s) is show.cruise(traffic) is None
            assert not show.wary
        for passer in traffic.passers:  # nothing of it stands in our lanes
            for at_s in (0.0, 5.0, traffic.time_s):
                assert abs(passer.place(at_s)[1]) > traffic.half_road_m - 0.2


def test_neighbours_stand_with_their_lamps_lit_while_our_lane_is_free():
    show, traffic = made(NeighboursBrake), FakeTraffic(front_m=SITE_M - 80.0)
    show.prepare(traffic)
    traffic.run(show, 0.2)
    assert not traffic.lanes[0]
    assert traffic.lanes[1]
    assert all(car.braking and car.brake_held and car.speed_mps == 0.0 for car in traffic.lanes[1])
    traffic.front_m = SITE_M + 13.0
    traffic.run(show, 0.2)
    assert all(car.desired_mps > 5.0 and not car.brake_held for car in traffic.lanes[1])


def test_on_one_lane_a_car_stands_at_the_kerb_instead():
    show, traffic = made(NeighboursBrake), FakeTraffic(lanes=[[]])
    show.prepare(traffic)
    ((car,),) = [traffic.passers]
    assert (car.role, car.braking) == ("kerbside", True)


def test_somebody_walks_away_from_the_kerb_or_up_to_it():
    ways = set()
    for seed in range(20):
        show, traffic = made(Talkers, seed), FakeTraffic(front_m=SITE_M - 60.0)
        show.prepare(traffic)
        before = len(traffic.passers)
        traffic.run(show, 8.0)
        ((walker,),) = [traffic.passers[before:]]
        starts, ends = (abs(walker.place(at_s)[1]) for at_s in (walker.go_s, walker.stop_s + 1.0))
        ways.add(ends > starts)
    assert ways == {True, False}


def test_a_car_far_ahead_brakes_and_drives_on():
    show, traffic = made(FarLead), FakeTraffic(front_m=SITE_M - 25.0)
    lit = []
    for _ in traffic.ticks(show, 9.0):
        lit += [car.brake_held for car in traffic.lanes[0]]
        for car in traffic.lanes[0]:
            car.progress_m += 10.0 * 0.1
    ((car,),) = [traffic.lanes[0]]
    assert car.tail_m - traffic.front_m > 40.0
    assert any(lit)
    assert not lit[-1]
