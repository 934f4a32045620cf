"""Drives in which what is decided changes what is seen; short ones, since every picture is drawn."""

from dataclasses import replace

import numpy as np
import pytest

from roadstill.agents import AgentConfig
from roadstill.driving.deciding import GUARDS, Sight, decided_by, wish_of
from roadstill.driving.plan import IN_TRAFFIC
from roadstill.errors import UserError
from roadstill.world.logs import write_world

pytest.importorskip("shapely")
from roadstill.driving.closed_loop import drive_scenario, human_progress_m, scenarios_of
from roadstill.driving.film import film_of, filmstrip, write_gif
from roadstill.driving.sessions import Entrant, drive_all

DRIVER = IN_TRAFFIC


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("driven") / "world", drives=4, seed=700, height_px=72)


def drive(scenario, decide, seconds):
    return drive_scenario(replace(scenario, seconds=seconds), decide, driver=DRIVER, size_px=64)


def test_scenarios_are_first_logs_first(world):
    names = [scenario.name for scenario in scenarios_of(world, 6)]
    assert names == ["0000-0", "0001-0", "0002-0", "0003-0", "0000-1", "0001-1"]
    assert len(scenarios_of(world)) > 12


def test_who_always_brakes_stands_and_who_never_does_hits_something(world):
    scenario = scenarios_of(world)[2]  # with traffic on the left
    standing = drive(scenario, GUARDS["always-brake"], 6.0)
    assert (standing.hit, standing.red_lights, standing.off_lane_s) == ("", 0, 0.0)
    assert standing.progress_m < 12
    crashed = drive(scenario, GUARDS["never-brake"], 10.0)
    assert crashed.at_fault
    assert crashed.hit
    assert 0 < crashed.seconds < 10
    assert round(crashed.seconds % 0.5, 3) not in (0.0, 0.5)  # it ends with the hit, not with the plan
    assert crashed.score == 0


def test_the_oracle_stays_in_its_lane_and_comes_as_far_as_the_worlds_own_driver(world):
    scenario = replace(scenarios_of(world)[2], seconds=10.0)
    outcome = drive(scenario, GUARDS["oracle"], 10.0)
    assert (outcome.hit, outcome.red_lights, outcome.off_lane_s) == ("", 0, 0.0)
    assert outcome.human_m == pytest.approx(human_progress_m(scenario))
    assert outcome.score > 0.8


def test_a_drive_is_the_same_each_time_and_shows_what_was_decided(world, tmp_path):
    scenario = replace(scenarios_of(world)[1], seconds=2.0)

    def decide(sight):
        return -1.0 if sight.pixels.mean() > 60 and sight.speed_mps > 5 else 1.0

    shots, outcome = film_of(scenario, decide, driver=DRIVER, size_px=64)
    again = drive_scenario(scenario, decide, driver=DRIVER, size_px=64)
    assert outcome == again
    assert [shot.time_s for shot in shots] == [0.0, 0.5, 1.0, 1.5]
    assert {shot.pixels.shape for shot in shots} == {(64, 64, 3)}
    assert not np.array_equal(shots[0].pixels, shots[-1].pixels)
    assert filmstrip(shots).shape == (384, 4 * 192, 3)
    assert write_gif(tmp_path / "drive.gif", shots).read_bytes()[:3] == b"GIF"


def test_what_was_driven_is_not_driven_again(world, tmp_path, monkeypatch):
    scenarios = [replace(each, seconds=1.0) for each in scenarios_of(world, 2)]
    entrants = [Entrant("oracle"), Entrant("always-brake")]
    first = drive_all(entrants, scenarios, tmp_path, driver=DRIVER, workers=1)
    monkeypatch.setattr("roadstill.driving.sessions.drive_scenario", lambda *_, **__: pytest.fail("driven again"))
    assert drive_all(entrants, scenarios, tmp_path, driver=DRIVER, workers=1) == first
    assert [outcome.scenario for outcome in first["oracle"][0]] == ["0000-0", "0001-0"]
    with pytest.raises(pytest.fail.Exception, match="driven again"):
        drive_all(entrants, scenarios, tmp_path, driver=replace(DRIVER, brake_mps2=3.0), workers=1)
    (tmp_path / "oracle" / "seed0" / "part0.json").write_text("{}")
    with pytest.raises(UserError, match="remove the file and drive again"):
        drive_all(entrants, scenarios, tmp_path, driver=DRIVER, workers=1)


def test_who_is_no_control_needs_an_agent(tmp_path):
    with pytest.raises(UserError, match="'somebody' is no control; give an agent"):
        Entrant("somebody")
    with pytest.raises(UserError, match="no scenario"):
        drive_all([Entrant("oracle")], [], tmp_path, driver=DRIVER)


class Answers:
    config = AgentConfig()

    def __init__(self, names, chances):
        self.class_names, self.chances = names, chances

    def predict(self, pixels, status):
        assert pixels.shape == (1, 8, 8, 3)
        assert status is None
        return np.array([self.chances], np.float32)


class Counts:
    """An agent that says an acceleration, of the speed and the command that it is told."""

    config = AgentConfig(target="accel", ego=True)
    class_names = ("not_brake", "brake")

    def values(self, pixels, status):
        return status[:, :1] * 10 - 7.0 - status[:, 1:2]


@pytest.mark.parametrize(
    ("names", "chances", "wish"),
    [
        (("not_brake", "brake"), [0.4, 0.6], -1.0),
        (("not_brake", "brake"), [0.6, 0.4], 1.0),
        (("throttle", "hold", "brake"), [0.2, 0.5, 0.3], 0.0),
        (("above_0", "-2_to_0", "below_-2"), [0.0, 1.0, 0.0], -1.0 / 3.5),
        (("above_0", "-2_to_0", "below_-2"), [1.0, 0.0, 0.0], 0.5 / 1.5),
        (("above_0", "-2_to_0", "below_-2"), [0.0, 0.0, 1.0], -2.5 / 3.5),
    ],
)
def test_what_an_agent_answers_becomes_a_wish(names, chances, wish):
    sight = Sight(np.zeros((8, 8, 3), np.uint8), 5.0, 0.0)
    assert decided_by(Answers(names, chances), DRIVER)(sight) == pytest.approx(wish)


def test_a_predicted_acceleration_becomes_a_wish():
    decide = decided_by(Counts(), DRIVER)
    assert decide(Sight(np.zeros((8, 8, 3), np.uint8), 6.0, 0.0, "straight")) == pytest.approx(-1 / 3.5)
    assert decide(Sight(np.zeros((8, 8, 3), np.uint8), 6.0, 0.0, "left")) == pytest.approx(-2 / 3.5)
    assert decide(Sight(np.zeros((8, 8, 3), np.uint8), 7.75, 0.0, "straight")) == pytest.approx(0.5)


def test_classes_that_say_nothing_about_driving_are_refused():
    with pytest.raises(UserError, match="the class 'cat' says nothing about driving"):
        decided_by(Answers(("cat", "dog"), [0.5, 0.5]), DRIVER)
    assert [wish_of(accel, DRIVER) for accel in (-9.0, 9.0)] == [-1.0, 1.0]
