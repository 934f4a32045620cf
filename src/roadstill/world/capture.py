"""Freezes a running log into one scene."""

import math
from collections.abc import Iterator

from roadstill.runs import seed_of
from roadstill.world.logrun import LogRun
from roadstill.world.routes import SIZES_M
from roadstill.world.scene import RoadObject, Scene
from roadstill.world.visible import Placed, see

_BEHIND_M, _AHEAD_M = 35.0, 120.0  # objects in this range around the rear axle are part of the scene
_SIGNAL_BEHIND_M, _SIGNAL_AHEAD_M = 10.0, 130.0
_COMMAND_AHEAD_M, _COMMAND_ASIDE_M = 20.0, 2.0  # NAVSIM's rule: where the lane is after 20 m, by 2 m to the side
_LEFT, _STRAIGHT, _RIGHT = 0, 1, 2
_STEADY_MPS2 = 1.0  # less has no cause
_STRIDE_M = 1.5  # covered by one walking cycle
_ASIDE = ("see_lead_offset_m", "see_crossing_aside_m", "see_people_aside_m", "curvature_per_m")  # positive: left


def scene_of(run: LogRun, frame: int) -> Scene:
    """The scene that a camera at the ego sees now, with its facts."""
    ego_m, offset_m = run.rear_axle_m, run.offset_m
    x, y, road_rad = run.route.at(ego_m, offset_m)
    yaw = road_rad + run.heading_rad
    placed = list(_placed(run))
    near = [e for e in run.episodes if -_SIGNAL_BEHIND_M < e.site_m - ego_m < _SIGNAL_AHEAD_M]
    lights = tuple(light for e in near for light in e.signals(run.time_s))
    facts: dict[str, float | str | bool] = dict(
        see(
            placed, lights, run.route, (x, y, yaw, ego_m, offset_m), run.half_road_m, run.layout,
        )
    )  # fmt: skip
    facts |= {
        "log": run.number,
        "frame": frame,
        "speed_mps": run.speed_mps,
        "accel_mps2": run.accel_mps2,
        "curvature_per_m": run.curvature_per_m,
        "command": _command(run),
        "cause": _cause(run, facts),
    }
    mirrored = run.town.left_hand
    if mirrored:
        facts |= _mirrored(facts)
    return Scene(
        layout=run.layout, ego_s_m=ego_m, ego_offset_m=offset_m, ego_x_m=x, ego_y_m=y, ego_yaw_rad=yaw,
        light=run.drive.light, weather=run.drive.weather,
        seed=seed_of("frame", run.drive.seed, run.drive.index, run.number, frame),
        objects=tuple(one.thing for one in placed), lights=lights, facts=facts,
        mirrored=mirrored,
    )  # fmt: skip


def _mirrored(facts: dict[str, float | str | bool]) -> dict[str, float]:
    """Those facts that change with left and right, in a mirror."""
    aside = [name for name in facts if name in _ASIDE or name.startswith("see_bend_")]
    return {name: 0.0 - float(facts[name]) for name in aside} | {"command": _RIGHT - int(facts["command"])}


def _command(run: LogRun) -> int:
    """The driving command, by where the lane leads."""
    aside_m = run.aside_m(_COMMAND_AHEAD_M)
    return _LEFT if aside_m >= _COMMAND_ASIDE_M else _RIGHT if aside_m <= -_COMMAND_ASIDE_M else _STRAIGHT


def _cause(run: LogRun, facts: dict[str, float | str | bool]) -> str:
    """Why the ego brakes or speeds up, one of ``CAUSES``."""
    if abs(run.accel_mps2) < _STEADY_MPS2:
        return "cruise"
    if run.accel_mps2 < 0:
        return run.cause
    if float(facts["see_lead_m"]) < 30.0:
        return "lead_pulls_away"
    if facts["see_light"] == 1.0 and float(facts["see_light_m"]) < 40.0:
        return "light_green"
    return "road_cleared" if run.driver.since_braking_s < 4.0 else "open_road"


def shining(turning: str, track: str, time_s: float) -> str:
    """The indicators of a vehicle that shine at a moment: 1.4 times a second, for more than half the time."""
    return turning if turning and (time_s * 1.4 + int(track[-4:], 16) / 65536) % 1.0 < 0.65 else ""


def _placed(run: LogRun) -> Iterator[Placed]:
    """Everything that moves or was put on the road, near the ego."""
    low_m, high_m = run.rear_axle_m - _BEHIND_M, run.rear_axle_m + _AHEAD_M
    for lanes, sign in ((run.lanes, 1), (run.oncoming, -1)):
        for lane in lanes:
            for car in lane:
                s_m = car.progress_m * sign
                if low_m < s_m < high_m:
                    x, y, yaw = run.route.at(s_m, car.offset_m)
                    yaw += car.yaw_rad if sign > 0 else math.pi + car.yaw_rad
                    thing = RoadObject(
                        car.track, car.kind, x, y, yaw, car.length_m, car.width_m, car.height_m, car.speed_mps,
                        car.colour, car.braking, 0.0, car.role, shining(car.turning, car.track, run.time_s),
                    )  # fmt: skip
                    yield Placed(thing, s_m, car.offset_m, sign > 0)
    time_s = run.time_s
    for passer in run.passers:
        if not passer.from_s <= time_s < passer.to_s:
            continue
        s_m, offset_m, speed_mps = passer.place(time_s)
        if not low_m < s_m < high_m:
            continue
        if speed_mps and passer.across_mps == 0.0:
            # what is arc length on the centre line is more or less than that where it goes
            speed_mps *= 1.0 - run.route.curvature(s_m) * offset_m
        length, width, height = SIZES_M[passer.kind]
        x, y, yaw = run.route.at(s_m, offset_m)
        thing = RoadObject(
            passer.track, passer.kind, x, y, yaw + passer.heading_rad, length, width, height, speed_mps, passer.colour,
            passer.braking, (passer.phase + speed_mps * time_s / _STRIDE_M) % 1.0, passer.role,
            shining(passer.turning, passer.track, time_s), passer.beacon,
        )  # fmt: skip
        yield Placed(thing, s_m, offset_m, passer.along_mps > 0)
