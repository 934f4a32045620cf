"""What the simulation hands to the renderer: the facts of one frame, in metres, radians and seconds.

World frame: x east, y north, z up, right-handed; yaw counter-clockwise from x. The road is a centre line with
``lanes_each_way`` lanes on either side (right-hand traffic): lane centres lie at lateral offsets
``-(0.5 + k) * lane_width_m`` for the ego's direction (offset is positive to the left of the centre line).

Towns that drive on the left are simulated as all others; what leaves the simulation there (pictures, facts, logs and
maps) is its mirror image.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LIGHTS = ("day", "dusk", "night")
WEATHERS = ("clear", "overcast", "rain", "fog")
CAUSES = (
    "open_road", "light_green", "lead_pulls_away", "road_cleared",  # the ego accelerates for these
    "lead_brakes", "queue", "red_light", "pedestrian", "cut_in", "cross_traffic", "curve",  # the ego brakes for these
    "stop_sign", "bump", "narrow", "school_bus",
    "cruise",
)  # fmt: skip


@dataclass(frozen=True)
class Town:
    """How a town looks. Towns differ in colours, geometry and density, never in how people drive.

    Colours are linear-ish RGB in 0..1. ``walls`` are facade colours to draw from.
    """

    name: str
    location: str  # one of the four map locations of nuPlan, so that the logs stay in the genuine vocabulary
    asphalt: tuple[float, float, float]
    pavement: tuple[float, float, float]
    ground: tuple[float, float, float]
    marking: tuple[float, float, float]
    walls: tuple[tuple[float, float, float], ...]
    leaves: tuple[tuple[float, float, float], ...]
    building_share: float  # share of each roadside that is built up
    building_height_m: tuple[float, float]
    setback_m: tuple[float, float]  # from kerb to facade
    tree_spacing_m: float
    parked_share: float
    lanes_each_way: int
    lane_width_m: float
    pavement_width_m: float
    mast_arm: bool  # lights hang over the road on an arm, else stand beside it

    @property
    def left_hand(self) -> bool:
        """Whether people drive on the left: then pictures, facts, logs and maps are mirror images of the simulation."""
        return self.location == "sg-one-north"


@dataclass(frozen=True)
class RoadObject:
    """A moving or standing box. ``x_m, y_m`` is its centre on the ground."""

    track: str  # 16 hex digits, constant over the drive
    kind: str  # car, van, truck, bus, bicycle, pedestrian, barrier, cone, sign, bin, crate, trolley
    x_m: float
    y_m: float
    yaw_rad: float
    length_m: float
    width_m: float
    height_m: float
    speed_mps: float
    colour: tuple[float, float, float]
    braking: bool = False  # brake lamps lit
    phase: float = 0.0  # share of the walking cycle, 0..1
    role: str = ""  # lead, queue, oncoming, crossing, parked, cut_in, bystander ...
    turning: str = ""  # indicators that shine now: left, right or both
    beacon: str = ""  # blue: of an ambulance or a fire engine; school: red lamps of a bus that children leave


@dataclass(frozen=True)
class TrafficLight:
    """A signal for the ego's direction, over or beside the road at ``s_m`` along the centre line."""

    s_m: float
    stop_line_s_m: float
    state: str  # red, red_amber, amber, green
    turn: str = ""  # state of the arrow for the lane that turns left; none if empty
    walk: str = ""  # state of the signals for people who walk across: red (a hand) or green; none if empty


@dataclass(frozen=True)
class Road:
    """The centre line of a drive, sampled at equal steps of arc length.

    Attributes:
        points_m: positions, float64 ``[n, 2]``.
        yaw_rad: headings, float64 ``[n]``, unwrapped.
        step_m: arc length between samples.
    """

    points_m: NDArray[np.float64]
    yaw_rad: NDArray[np.float64]
    step_m: float

    @property
    def length_m(self) -> float:
        """Arc length of the whole centre line."""
        return (len(self.points_m) - 1) * self.step_m

    def at(self, s_m: float, offset_m: float = 0.0) -> tuple[float, float, float]:
        """x, y and yaw at arc length ``s_m``, ``offset_m`` to the left of the centre line (clamped to the ends)."""
        place = min(max(s_m / self.step_m, 0.0), len(self.points_m) - 1.001)
        low = int(place)
        share = place - low
        x, y = self.points_m[low] * (1 - share) + self.points_m[low + 1] * share
        yaw = float(self.yaw_rad[low] * (1 - share) + self.yaw_rad[low + 1] * share)
        return float(x - np.sin(yaw) * offset_m), float(y + np.cos(yaw) * offset_m), yaw


@dataclass(frozen=True)
class Layout:
    """What stands still for a whole drive (the renderer adds facades, trees and windows from ``seed``)."""

    town: Town
    road: Road
    seed: int
    crossroads_s_m: tuple[float, ...] = ()  # centres of crossroads; no buildings or kerb within 9 m of them
    crosswalks_s_m: tuple[float, ...] = ()
    stop_lines_s_m: tuple[float, ...] = ()  # as many as crossroads, and in their order
    signals_s_m: tuple[float, ...] = ()  # those of the stop lines that have a light
    stop_signs_s_m: tuple[float, ...] = ()
    bumps_s_m: tuple[float, ...] = ()
    corners_s_m: tuple[tuple[float, float], ...] = ()  # begin and end of the bends by which our way turns at crossroads
    parked: tuple[RoadObject, ...] = ()


@dataclass(frozen=True)
class Scene:
    """One frame: everything that a camera at the ego could see.

    Poses are those of the simulation; ``facts`` are those of the picture, mirrored where ``mirrored`` is set.
    """

    layout: Layout
    ego_s_m: float
    ego_offset_m: float
    ego_x_m: float
    ego_y_m: float
    ego_yaw_rad: float
    light: str
    weather: str
    seed: int  # camera noise and exposure of this frame
    objects: tuple[RoadObject, ...] = ()
    lights: tuple[TrafficLight, ...] = ()
    facts: dict[str, float | str | bool] = field(default_factory=dict)
    mirrored: bool = False  # traffic on the left
