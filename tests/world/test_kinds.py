"""The list of kinds, and that a new kind is one class: the simulation asks it everything that it must know."""

from collections import Counter

import pytest

from roadstill.world.drive import drives_of
from roadstill.world.episodes import Episode
from roadstill.world.kinds import KINDS, SIDESHOWS
from roadstill.world.logrun import LogRun
from roadstill.world.passers import FOREVER_S
from roadstill.world.scene import CAUSES


class Bollard(Episode):
    """Something stands on the road for ten seconds: a kind that the simulation does not know."""

    cause = "bollard"

    def begin(self, traffic):
        self.free_s = self.clear_s = traffic.time_s + 10.0


def test_each_kind_has_a_cause_from_the_vocabulary():
    assert {kind.cause for kind in KINDS} <= set(CAUSES)
    assert not set(KINDS) & set(SIDESHOWS)


def test_kinds_occur_as_often_as_they_should():
    seen = Counter(type(e) for spec in drives_of("demo", 120, 3) for e in LogRun(spec, 0, 60).episodes)
    assert set(seen) == set(KINDS) | set(SIDESHOWS)
    for kinds in (KINDS, SIDESHOWS):
        anywhere = {kind: share for kind, share in kinds.items() if kind.least_lanes == 1}
        total, weights = sum(seen[kind] for kind in anywhere), sum(anywhere.values())
        for kind, share in anywhere.items():
            assert seen[kind] / total == pytest.approx(share / weights, abs=0.06)


def test_a_new_kind_stops_the_ego_and_lets_it_go(monkeypatch):
    monkeypatch.setattr("roadstill.world.logrun.KINDS", {Bollard: 1.0})
    run = LogRun(drives_of("demo", 1, 4)[0], 0, 60)
    slowest, causes = {}, set()
    for _ in run.key_frames():
        begun = [e for e in run.episodes if e.begun_s <= run.time_s < e.free_s < FOREVER_S]
        for episode in begun:
            assert run.front_m < episode.site_m + 0.5
            slowest[episode.site_m] = min(run.speed_mps, slowest.get(episode.site_m, 99.0))
        causes.add(run.cause)
    assert len(slowest) >= 2
    assert min(slowest.values()) < 0.3
    assert "bollard" in causes
    assert run.front_m > min(slowest) + 5.0
