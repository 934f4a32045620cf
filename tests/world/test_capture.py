"""Scenes of a running log."""

from itertools import pairwise

from roadstill.world.capture import scene_of
from roadstill.world.drive import drives_of
from roadstill.world.logrun import LogRun
from roadstill.world.scene import Town


def scenes_of(spec):
    run = LogRun(spec, 0, 40)
    return [scene_of(run, frame) for frame in run.key_frames()]


def test_facts_of_traffic_on_the_left_are_those_of_the_mirror_image(monkeypatch):
    spec = next(spec for spec in drives_of("demo", 9, 8) if spec.town == "gardenia")
    mirrored = scenes_of(spec)
    monkeypatch.setattr(Town, "left_hand", False)
    plain = scenes_of(spec)
    signed = {"see_lead_offset_m", "see_crossing_aside_m", "see_people_aside_m", "curvature_per_m"}
    signed |= {f"see_bend_{far}m" for far in (10, 20, 30, 45)}
    for one, other in zip(mirrored, plain, strict=True):
        assert one.mirrored
        assert not other.mirrored
        assert (one.objects, one.ego_y_m) == (other.objects, other.ego_y_m)  # the simulation is the same
        for name, value in other.facts.items():
            assert one.facts[name] == (-value if name in signed else 2 - value if name == "command" else value), name
    told = {name for name in signed if any(scene.facts[name] for scene in plain)}
    assert told >= {"see_bend_45m", "curvature_per_m"}


def test_frames_of_a_log_share_its_layout():
    scenes = scenes_of(drives_of("demo", 1, 8)[0])
    assert all(a.layout is b.layout for a, b in pairwise(scenes))
