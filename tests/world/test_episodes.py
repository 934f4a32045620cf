"""The common part of all episodes: when they begin, where the ego and oncoming cars stop, and who walks."""

import math
import random

import pytest
from fake_traffic import FakeTraffic

from roadstill.world.episodes import CLEAR_M, KERB_M, Episode
from roadstill.world.passers import FOREVER_S, waiting
from roadstill.world.traffic import DT_S, Car


class Barrier(Episode):
    cause = "barrier"

    def begin(self, traffic):
        self.free_s, self.clear_s = traffic.time_s + 4.0, traffic.time_s + 5.0


@pytest.fixture
def barrier():
    return Barrier(random.Random(3), 100.0, 12.0)


def test_it_begins_with_room_for_comfortable_braking(barrier):
    traffic = FakeTraffic()
    for _ in traffic.ticks(barrier, 10.0):
        if barrier.begun_s < FOREVER_S:
            break
    room_m = barrier.site_m - traffic.front_m + traffic.speed_mps * DT_S
    need_mps2 = traffic.speed_mps**2 / (2 * (room_m - traffic.delay_s * traffic.speed_mps))
    assert need_mps2 == pytest.approx(barrier.brake_mps2, rel=0.3)
    assert need_mps2 < barrier.brake_mps2


def test_the_ego_is_wary_shortly_before_it_begins(barrier):
    traffic = FakeTraffic()
    wary = [traffic.time_s for _ in traffic.ticks(barrier, 10.0) if barrier.wary]
    assert barrier.begun_s - 2.0 < min(wary) < barrier.begun_s
    assert max(wary) == pytest.approx(barrier.begun_s, abs=2 * DT_S)


def test_it_never_happens_behind_another_car(barrier):
    for beyond_m, passive in ((CLEAR_M - 1, True), (CLEAR_M + 1, False)):
        traffic = FakeTraffic(front_m=60.0)
        car = Car(random.Random(1), "car", 0.0, traffic.lane_offset_m(0), 0.0, "lead")
        car.progress_m = barrier.site_m + beyond_m + car.half_m
        traffic.lanes[0].append(car)
        episode = Barrier(random.Random(3), 100.0, 12.0)
        traffic.run(episode, 4.0)
        assert episode.passive is passive
        assert (episode.begun_s == FOREVER_S) is passive


def test_a_slow_ego_does_not_meet_it_until_it_is_fast_or_past(barrier):
    traffic = FakeTraffic(front_m=85.0, speed_mps=3.0)
    traffic.run(barrier, 2.0)
    assert barrier.begun_s == FOREVER_S
    assert not barrier.passive
    traffic.run(barrier, 2.0)  # nearer than 6 m
    assert barrier.passive


def test_an_ego_that_could_not_stop_any_more_does_not_meet_it(barrier):
    traffic = FakeTraffic(front_m=85.0, speed_mps=12.0)
    traffic.run(barrier, DT_S)
    assert barrier.passive
    assert barrier.hazards(traffic) == []


def test_the_wall_stands_from_begin_until_the_way_is_free(barrier):
    traffic = FakeTraffic()
    assert barrier.hazards(traffic) == []
    traffic.run(barrier, 9.0)
    begun_s = barrier.begun_s
    assert [barrier.wall(begun_s + t) for t in (-0.1, 0.0, 3.9, 4.0)] == [None, 100.0, 100.0, None]
    assert [barrier.oncoming_wall(begun_s + t) for t in (-0.1, 0.0, 4.9, 5.0)] == [None, 108.0, 108.0, None]
    traffic.time_s, traffic.front_m = begun_s + 1.0, 90.0
    (hazard,) = barrier.hazards(traffic)
    assert (hazard.s_m, hazard.speed_mps, hazard.cause, hazard.fixed) == (100.0, 0.0, "barrier", False)
    traffic.front_m = 102.0
    assert barrier.hazards(traffic) == []  # behind the ego


def test_notice_delays_the_walls_of_the_ego_but_not_of_oncoming_cars(barrier):
    barrier.notice_s = 0.5
    barrier.begun_s, barrier.free_s, barrier.clear_s = 10.0, 14.0, 14.0
    assert barrier.wall(10.4) is None
    assert barrier.wall(10.5) == 100.0
    assert barrier.oncoming_wall(10.0) == 108.0
    barrier.crossroads_m = 110.0
    assert barrier.oncoming_wall(10.0) == 124.0


def test_it_has_a_say_about_speed_up_to_its_site_and_none_about_curves(barrier):
    assert barrier.cruise(FakeTraffic(front_m=99.0)) == 12.0
    assert barrier.cruise(FakeTraffic(front_m=100.0)) is None
    assert [barrier.turn(way) for way in (-1, 1)] == [-1, 1]
    assert barrier.bend() is None
    assert barrier.signals(0.0) == ()


def crowd(traffic, sides):
    edge_m = traffic.half_road_m + KERB_M
    return [waiting(random.Random(k), "crosser", 100.0, side, edge_m) for k, side in enumerate(sides)]


def test_our_half_is_free_once_the_last_one_has_left_it(barrier):
    traffic = FakeTraffic()
    people = crowd(traffic, (-1, 1, -1, 1))
    free_s = barrier._walk(traffic, people, 20.0, 40.0)
    for person in people:
        assert person.stop_s > person.go_s >= 20.0
        _, offset_m, _ = person.place(free_s)
        assert offset_m > 0 or offset_m <= -traffic.half_road_m + 1e-9
        _, offset_m, _ = person.place(FOREVER_S)
        assert offset_m == pytest.approx(math.copysign(traffic.half_road_m + KERB_M, -person.place(0.0)[1]))
    assert any(-traffic.half_road_m < p.place(free_s - 0.2)[1] < 0.6 for p in people)


def test_without_time_those_from_the_left_wait_in_the_middle(barrier):
    traffic = FakeTraffic()
    left, right = crowd(traffic, (1, -1))
    free_s = barrier._walk(traffic, [left, right], 20.0, 21.0)
    assert free_s == 20.0
    assert right.place(FOREVER_S)[1] == -traffic.half_road_m - KERB_M  # stays
    assert left.place(FOREVER_S)[1] == pytest.approx(0.9)
    assert left.go_s > free_s - 1.0
