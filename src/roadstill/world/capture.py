"""Freezes a running log into one scene."""

import math
from collections.abc import Iterator

from roadstill.runs import seed_of
from roadstill.world.logrun import LogRun
from roadstill.world.routes import SIZES_M
from roadstill.world.scene import RoadObject, Scene
from roadstill.world.visible import Placed, see


def scene_of(run: LogRun, frame: int) -> Scene:
    """The scene that a camera at the ego sees now, with its facts."""
    x, y, yaw = run.route.at(run.s, run.offset)
    placed = list(_placed(run))
    lights = tuple(light for e in run.episodes if -10 < e.site_m - run.s < 130.0 for light in e.signals(run.t))
    facts: dict[str, float | str | bool] = dict(
        see(
            placed, lights, run.route, (x, y, yaw, run.s, run.offset), run.half_m, run.town.lane_width_m,
            run.stop_lines,
        )
    )  # fmt: skip
    aside = run.route.ahead(run.s, run.offset, 20.0)
    facts |= {
        "log": run.number,
        "frame": frame,
        "speed_mps": run.v,
        "accel_mps2": run.driver.accel,
        "curvature_per_m": run.route.curvature(run.s) / (1 - run.route.curvature(run.s) * run.offset),
        "command": 0 if aside >= 2.0 else 2 if aside <= -2.0 else 1,
        "cause": _cause(run, facts),
    }
    return Scene(
        layout=run.layout, ego_s_m=run.s, ego_offset_m=run.offset, ego_x_m=x, ego_y_m=y, ego_yaw_rad=yaw,
        light=run.drive.light, weather=run.drive.weather,
        seed=seed_of("frame", run.drive.seed, run.drive.index, run.number, frame),
        objects=tuple(p.thing for p in placed), lights=lights, facts=facts,
    )  # fmt: skip


def _cause(run: LogRun, facts: dict[str, float | str | bool]) -> str:
    accel = run.driver.accel
    if abs(accel) < 1.0:
        return "cruise"
    if accel < 0:
        return run.driver.cause
    if float(facts["see_lead_m"]) < 30.0:
        return "lead_pulls_away"
    if facts["see_light"] == 1.0 and float(facts["see_light_m"]) < 40.0:
        return "light_green"
    return "road_cleared" if run.driver.lifted_s < 4.0 else "open_road"


def _placed(run: LogRun) -> Iterator[Placed]:
    low, high = run.s - 35.0, run.s + 120.0
    for cars, sign in ((run.lanes, 1), (run.oncoming, -1)):
        for lane in cars:
            for car in lane:
                s = car.p * sign
                if low < s < high:
                    x, y, yaw = run.route.at(s, car.d)
                    yaw += car.yaw if sign > 0 else math.pi + car.yaw
                    thing = RoadObject(
                        car.track, car.kind, x, y, yaw, car.length_m, car.width_m, car.height_m, car.v,
                        car.colour, car.lit, 0.0, car.role,
                    )  # fmt: skip
                    yield Placed(thing, s, car.d, sign > 0)
    t = run.t
    for passer in run.passers:
        if not passer.from_s <= t < passer.to_s:
            continue
        s, d, speed = passer.place(t)
        if not low < s < high:
            continue
        if speed and passer.across_mps == 0.0:
            speed *= 1.0 - run.route.curvature(s) * d  # what arc length on the centre line is where it goes
        length, width, height = SIZES_M[passer.kind]
        x, y, yaw = run.route.at(s, d)
        thing = RoadObject(
            passer.track, passer.kind, x, y, yaw + passer.heading_rad, length, width, height, speed, passer.colour,
            False, (passer.phase + speed * t / 1.5) % 1.0, passer.role,
        )  # fmt: skip
        yield Placed(thing, s, d, passer.along_mps > 0)
