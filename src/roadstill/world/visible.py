"""What can be seen in the picture of a scene, in numbers: the facts named ``see_*``.

Only what lies inside the centre square of the picture (38.5 degrees) counts. These facts serve to measure how well
braking can be told from one picture at all; no agent ever gets them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from roadstill.world.routes import Route
from roadstill.world.scene import Layout, RoadObject, TrafficLight

CAMERA_M = 1.6  # ahead of the rear axle
HALF_VIEW = math.tan(math.radians(38.5 / 2))
FAR_M = 80.0  # what is farther is too small to see; also stands for "nothing there"
_COUNTS = (
    "see_lead_lit", "see_lead_offset_m", "see_lead_width_m", "see_cars_ahead", "see_lit_ahead", "see_crossing",
    "see_crossing_aside_m", "see_people_road", "see_people_aside_m", "see_crowd", "see_oncoming", "see_cyclists",
)  # fmt: skip
_DISTANCES = (
    "see_lead_m", "see_beside_m", "see_crossing_m", "see_people_m", "see_barrier_m", "see_school_bus_m",
)  # fmt: skip
VEHICLES = frozenset(("car", "van", "truck", "bus"))


class Placed(NamedTuple):
    """A road object with its place on the road."""

    thing: RoadObject
    s_m: float
    offset_m: float
    along: bool  # belongs to our direction of travel


def see(
    placed: Sequence[Placed],
    lights: Sequence[TrafficLight],
    route: Route,
    pose: tuple[float, float, float, float, float],
    half_road_m: float,
    layout: Layout,
) -> dict[str, float]:
    """The visible facts of a frame.

    Args:
        placed: moving objects near the ego.
        lights: signals of our direction.
        route: road of the log.
        pose: position and yaw of the rear axle, its arc length and its offset.
        half_road_m: width of our lanes together.
        layout: what stands still.
    """
    x, y, yaw, ego_m, offset_m = pose
    cosine, sine = math.cos(yaw), math.sin(yaw)
    facts = dict.fromkeys(_COUNTS, 0.0) | dict.fromkeys(_DISTANCES, FAR_M)
    for thing, _, at_m, along in placed:
        dx, dy = thing.x_m - x, thing.y_m - y
        forward = dx * cosine + dy * sine - CAMERA_M
        if not 0.5 < forward < FAR_M:
            continue
        left = dy * cosine - dx * sine
        if abs(left) > forward * HALF_VIEW + thing.width_m / 2:
            continue
        kind = thing.kind
        if kind == "pedestrian":
            _person(facts, forward, at_m, offset_m, half_road_m)
        elif kind in VEHICLES:
            if thing.role == "kerbside":
                if thing.beacon == "school":
                    facts["see_school_bus_m"] = min(facts["see_school_bus_m"], forward)
            elif thing.role == "crossing":
                if abs(at_m) < half_road_m + 9.0:
                    facts["see_crossing"] += 1
                    if forward < facts["see_crossing_m"]:
                        facts["see_crossing_m"], facts["see_crossing_aside_m"] = forward, left
            elif along:
                _ahead(facts, thing, forward, at_m - offset_m, layout.town.lane_width_m)
            else:
                facts["see_oncoming"] += 1
        elif kind == "barrier":
            if at_m > -half_road_m:
                facts["see_barrier_m"] = min(facts["see_barrier_m"], forward)
        elif kind == "bicycle":
            facts["see_cyclists"] += 1
    facts |= _signal(lights, ego_m)
    camera_m = ego_m + CAMERA_M
    for name, places_m in (
        ("see_stop_line_m", layout.stop_lines_s_m),
        ("see_stop_sign_m", layout.stop_signs_s_m),
        ("see_bump_m", layout.bumps_s_m),
        ("see_crosswalk_m", layout.crosswalks_s_m),
    ):
        facts[name] = min((at - camera_m for at in places_m if 1.0 < at - camera_m < FAR_M), default=FAR_M)
    for far in (10, 20, 30, 45):
        facts[f"see_bend_{far}m"] = route.ahead(ego_m, offset_m, far)
    return facts


def _person(facts: dict[str, float], forward: float, at_m: float, offset_m: float, half_m: float) -> None:
    if abs(at_m) < half_m:
        facts["see_people_road"] += 1
        if forward < facts["see_people_m"]:
            facts["see_people_m"], facts["see_people_aside_m"] = forward, at_m - offset_m
    elif forward < 45.0:
        facts["see_crowd"] += 1


def _ahead(facts: dict[str, float], thing: RoadObject, forward: float, aside: float, lane_m: float) -> None:
    rear = forward - thing.length_m / 2
    if rear < 40.0:
        facts["see_cars_ahead"] += 1
        facts["see_lit_ahead"] += thing.braking
    if abs(aside) < lane_m / 2 + 0.5:
        if rear < facts["see_lead_m"]:
            facts |= {
                "see_lead_m": rear,
                "see_lead_lit": float(thing.braking),
                "see_lead_offset_m": aside,
                "see_lead_width_m": thing.width_m,
            }
    else:
        facts["see_beside_m"] = min(facts["see_beside_m"], rear)


def _signal(lights: Sequence[TrafficLight], ego_m: float) -> dict[str, float]:
    facts = {"see_light": 0.0, "see_light_m": FAR_M}
    for light in lights:
        away = light.s_m - ego_m - CAMERA_M
        if 6.0 < away < facts["see_light_m"]:
            state = {"green": 1.0, "amber": 2.0, "red": 3.0, "red_amber": 3.0}[light.state]
            facts = {"see_light": state, "see_light_m": away}
    return facts
