"""Crossroads, red lights, people and roadworks, each met by an ego that drives on and on."""

import random

import pytest
from fake_traffic import FakeTraffic

from roadstill.world.crossings import Crossroads, Pedestrians, RedLight
from roadstill.world.episodes import KERB_M
from roadstill.world.passers import FOREVER_S
from roadstill.world.traffic import DT_S, Car

SITE_M = 100.0


def made(kind, seed=1, **wanted):
    """The first one from a seed on that has the wanted attributes."""
    for number in range(seed, seed + 200):
        episode = kind(random.Random(number), SITE_M, 12.0)
        if all(bool(getattr(episode, name)) is value for name, value in wanted.items()):
            return episode
    raise AssertionError(wanted)


def begun(episode, speed_mps=10.0):
    traffic = FakeTraffic(speed_mps=speed_mps)
    episode.prepare(traffic)
    for _ in traffic.ticks(episode, SITE_M / speed_mps):
        if episode.begun_s < FOREVER_S:
            return traffic
    raise AssertionError("it has not begun")


def crossing_times(traffic, centre_m):
    """When vehicles cross our centre line; those that stop do not."""
    return [p.origin_s for p in traffic.passers if p.role == "crossing" and p.stop_s > p.origin_s]


@pytest.mark.parametrize("kind", [Crossroads, RedLight])
def test_lines_lie_before_crossroads(kind):
    episode = made(kind)
    assert SITE_M < episode.stop_line_m < SITE_M + 1.0 < episode.crossroads_m < SITE_M + episode.after_m
    assert all(episode.stop_line_m < walk_m < SITE_M + episode.after_m for walk_m in episode.crosswalks_m)


def test_the_way_is_free_after_the_last_one_has_crossed():
    for seed in range(20):
        episode = made(Crossroads, seed)
        episode.far_m = FOREVER_S
        traffic = begun(episode)
        times = crossing_times(traffic, episode.crossroads_m)
        assert len(times) >= 2
        assert episode.begun_s < min(times)
        assert episode.free_s + traffic.delay_s == pytest.approx(max(times) + 1.0)
        assert episode.clear_s > max(times)


def test_those_who_come_too_late_wait_beside_the_road():
    stopped = []
    for seed in range(20):
        traffic = begun(made(Crossroads, seed))
        late = [p for p in traffic.passers if p.role == "crossing" and p.stop_s < FOREVER_S]
        stopped += [abs(p.place(FOREVER_S)[1]) - traffic.half_road_m for p in late]
    assert 10 < len(stopped) < 40
    assert all(4.7 < away_m < 6.1 for away_m in stopped)


def test_traffic_also_crosses_while_the_ego_is_far():
    episode = made(Crossroads)
    episode.far_m = 60.0
    traffic = FakeTraffic(front_m=SITE_M - 66.0)
    traffic.run(episode, 0.3)
    assert crossing_times(traffic, episode.crossroads_m)
    assert episode.begun_s == FOREVER_S
    assert episode.far_m == FOREVER_S


def test_a_car_turns_in_ahead_of_an_ego_that_may_go():
    episode = made(Crossroads, turns_in=True)
    traffic = begun(episode)
    traffic.speed_mps, traffic.time_s = 0.0, episode.free_s - 0.5
    traffic.run(episode, DT_S)
    (car,) = traffic.lanes[0]
    assert (car.role, car.brake_held) == ("turned_in", False)
    assert car.progress_m > episode.crossroads_m
    assert car.target_offset_m == traffic.lane_offset_m(0) > car.offset_m
    traffic.lanes[0].clear()
    traffic.run(episode, 0.3)
    assert traffic.lanes[0] == []  # only one does


def test_no_car_turns_in_where_another_one_is():
    episode = made(Crossroads, turns_in=True)
    traffic = begun(episode)
    traffic.lanes[0].append(Car(random.Random(0), "car", episode.crossroads_m + 6.0, -1.7, 5.0, "lead"))
    traffic.speed_mps, traffic.time_s = 0.0, episode.free_s - 0.5
    traffic.run(episode, DT_S)
    assert len(traffic.lanes[0]) == 1


def test_a_light_is_green_amber_red_and_green():
    episode = made(RedLight, early_m=False, wave_m=False, rolls=False)
    assert [light.state for light in episode.signals(0.0)] == ["green"]
    begun(episode)
    times_s = (episode.begun_s + 0.1, episode.begun_s + 1.0, episode.green_s - 0.1, episode.green_s)
    assert [episode.signals(time_s)[0].state for time_s in times_s] == ["amber", "red", "red", "green"]
    assert episode.signals(0.0)[0].stop_line_s_m == episode.stop_line_m
    assert episode.green_s - episode.begun_s >= 3.2


def test_nobody_crosses_against_the_light():
    for seed in range(20):
        episode = made(RedLight, seed, wave_m=False)
        traffic = begun(episode)
        assert all(episode.begun_s < time_s < episode.green_s for time_s in crossing_times(traffic, 0.0))
        for walker in episode.people:
            _, offset_m, _ = walker.place(episode.green_s)
            assert not -traffic.half_road_m < offset_m < 0, offset_m


def test_a_light_that_is_early_turns_red_from_afar():
    early, late = made(RedLight, early_m=True), made(RedLight, early_m=False, wave_m=False)
    assert SITE_M - begun(early).front_m > 45.0
    assert SITE_M - begun(late).front_m < 40.0


def test_people_step_onto_a_crosswalk_and_the_way_is_free_after_them():
    for seed in range(20):
        episode = made(Pedestrians, seed, works=False)
        traffic = begun(episode)
        assert episode.crosswalks_m == (episode.people_m,)
        walking = [p for p in episode.people if p.go_s < FOREVER_S]
        assert walking
        first = episode.people[0]
        assert first.offset_m == -traffic.half_road_m - KERB_M  # from the right
        for walker in walking:
            _, offset_m, _ = walker.place(episode.free_s + traffic.delay_s)
            assert not -traffic.half_road_m < offset_m < 0, offset_m


def test_workers_carry_barriers_onto_the_lane_and_back():
    episode = made(Pedestrians, works=True)
    assert episode.crosswalks_m == ()
    traffic = begun(episode)
    kinds = [p.kind for p in episode.things]
    assert (kinds.count("barrier"), kinds.count("sign"), kinds.count("cone")) == (4, 1, 4)

    def there(time_s):
        return [p.place(time_s)[1] for p in traffic.passers if p.from_s <= time_s < p.to_s and p.kind != "cone"]

    before, home = there(episode.begun_s - 0.1), there(FOREVER_S - 1.0)
    away = there(episode.begun_s + 2.4)
    assert len(before) == len(away) == len(home) == 7
    assert sorted(before) == pytest.approx(sorted(home))
    assert all(offset_m <= -traffic.half_road_m for offset_m in before)
    assert sum(offset_m > -traffic.half_road_m for offset_m in away) == 6  # all but the sign
    assert max(away) < 0.0
    carrying = [p.stop_s for p in traffic.passers if p.stop_s < FOREVER_S]
    assert episode.free_s == pytest.approx(max(carrying) - 0.4)
