"""Drives in the built-in world in which what the agent decides changes what it sees.

Every 0.5 s the agent is shown the picture from where its car is now. Its decision becomes a plan along the centerline
of the route (thesis Figure 3.1), a tracker and a kinematic bicycle drive it, and everybody else reacts to the car.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from roadstill.driving.boxes import behind, box_corners, touching
from roadstill.driving.centerline import Centerline, Routes
from roadstill.driving.comfort import comfort
from roadstill.driving.deciding import Decide, Sight
from roadstill.driving.maps import open_map
from roadstill.driving.plan import EVERY, POSE_S, TIMES_S, Driver, filled
from roadstill.driving.poses import Floats, Pose
from roadstill.driving.vehicle import STEP_S, WIDTH_M, Motion, corners, follow
from roadstill.frames import COMMANDS
from roadstill.images import centre_square
from roadstill.world.capture import scene_of
from roadstill.world.drive import schedule
from roadstill.world.logrun import LogRun
from roadstill.world.logs import read_world
from roadstill.world.maps import map_path
from roadstill.world.places import place_of
from roadstill.world.render import Renderer
from roadstill.world.roadmap import RoadMap
from roadstill.world.spec import DriveSpec
from roadstill.world.steered import Steered, SteeredRun

_NEAR_M = 25.0  # boxes whose middle is farther away cannot be hit
_STANDING_MPS = 0.05  # NAVSIM's bound: a car that is slower is never at fault
_ROAD_LEFT_M = 170.0
_WINDOW_S = 4.0  # of comfort, as long as NAVSIM's drives


@dataclass(frozen=True)
class Scenario:
    """A log of a written world that is driven anew.

    Attributes:
        world: folder of the world.
        drive: its drive.
        number: number of the log in the drive.
        seconds: length; the drive ends before where the road does.
    """

    world: Path
    drive: DriveSpec
    number: int
    seconds: float = 30.0

    @property
    def frames(self) -> int:
        """Number of key frames for which the log's road was made."""
        return schedule(self.drive)[self.number][1]

    @property
    def name(self) -> str:
        """Name of a file for it."""
        return f"{self.drive.index:04d}-{self.number}"


@dataclass(frozen=True)
class Outcome:
    """How one scenario went.

    Attributes:
        scenario: its name.
        group: name of its drive, by which scenarios resemble each other.
        progress_m: way along the road.
        human_m: way of the world's own driver in the same time.
        seconds: time until the end, or until the first collision.
        hit: kind of the object that was hit; empty without a collision.
        at_fault: whether the car is at fault: always, but where it stands or is hit from behind (NAVSIM also excuses
            hits from the side).
        red_lights: number of stop lines passed at a red light.
        off_lane_s: time for which a wheel was out of our half of the road.
        comfortable: share of the windows of 4 s in which NAVSIM's bounds on comfort hold.
    """

    scenario: str
    group: str
    progress_m: float
    human_m: float
    seconds: float
    hit: str
    at_fault: bool
    red_lights: int
    off_lane_s: float
    comfortable: float

    @property
    def progress(self) -> float:
        """Way as a share of the world's own driver's, at most 1."""
        return min(1.0, max(0.0, self.progress_m) / max(self.human_m, 1.0))

    @property
    def score(self) -> float:
        """Progress, or 0 after a collision at fault or a red light: this project's own measure, not NAVSIM's."""
        return 0.0 if self.at_fault or self.red_lights else self.progress


def scenarios_of(world: Path, count: int | None = None, *, seconds: float = 30.0) -> list[Scenario]:
    """Scenarios of a written world: the first log of every drive, then the second of every drive, and so on.

    Raises:
        UserError: no world.
    """
    drives = read_world(world).specs()
    logs = sorted((number, drive.index) for drive in drives for number in range(len(schedule(drive))))
    return [Scenario(world, drives[index], number, seconds) for number, index in logs[:count]]


def drive_scenario(
    scenario: Scenario, decide: Decide, *, driver: Driver, size_px: int,
    look: Callable[[int, NDArray[np.uint8], "SteeredRun", float], None] | None = None,
) -> Outcome:  # fmt: skip
    """Drives one scenario.

    Args:
        scenario: what to drive.
        decide: who decides.
        driver: how decisions are carried out.
        size_px: side of the pictures.
        look: function that is called with the number of each decision, its picture, the log and the decision.

    Raises:
        UserError: no world, or a map that lacks the road.
    """
    car = _Car(scenario, driver)
    frames = round(scenario.seconds / POSE_S)
    run = SteeredRun(scenario.drive, scenario.number, scenario.frames, car.step)
    car.begin(run)
    world = read_world(scenario.world)
    renderer = Renderer(world.width_px, world.height_px)
    try:
        for frame in range(frames):
            scene = scene_of(run, frame)
            picture = Image.fromarray(renderer.draw(scene))
            pixels = np.array(centre_square(picture, size_px))
            command = COMMANDS[int(scene.facts["command"])]
            wish = decide(Sight(pixels, run.speed_mps, run.wish_mps2, command))
            if look is not None:
                look(frame, pixels, run, wish)
            car.plan(run, wish)
            for _ in range(EVERY):
                run.tick()
                car.check(run)
                if car.hit:
                    break
            if car.hit or _road_ends(run):
                break
    finally:
        renderer.close()
    return car.outcome(run)


def human_progress_m(scenario: Scenario) -> float:
    """Way that the world's own driver makes in the same time."""
    run = LogRun(scenario.drive, scenario.number, scenario.frames)
    begin_m = run.rear_axle_m
    for _ in range(round(scenario.seconds / STEP_S)):
        run.tick()
        if _road_ends(run):
            break
    return run.rear_axle_m - begin_m


def _road_ends(run: LogRun) -> bool:
    """Whether so little road is left that the picture would show its end."""
    return run.rear_axle_m > run.route.road.length_m - _ROAD_LEFT_M


class _Car:
    """The ego of one scenario: its plan, its motion, and what became of it."""

    def __init__(self, scenario: Scenario, driver: Driver) -> None:
        self.scenario, self.driver = scenario, driver
        self.hit, self.at_fault, self.red_lights, self.off_lane_s = "", False, 0, 0.0
        self.front_m = np.inf

    def begin(self, run: SteeredRun) -> None:
        self.road = RoadMap(run.layout, place_of(self.scenario.drive, self.scenario.number))
        self.routes = Routes(open_map(map_path(self.scenario.world / "maps", self.road.location)))
        self.begin_m, self.lane = run.rear_axle_m, run.lane
        x, y, yaw = self.road.pose(*run.ego[:3])
        state = (x, y, yaw, run.ego.speed_mps, run.ego.accel_mps2, 0.0)
        self.motion = [Motion(*(np.array([value]) for value in state))]
        self.ahead: list[Motion] = []
        self.line = self._line(run)

    def plan(self, run: SteeredRun, wish: float) -> None:
        """Lays a plan from where the car is and drives its first half second."""
        if run.change_to != self.lane:
            self.lane = run.change_to
            self.line = self._line(run)
        now = self.motion[-1]
        x, y, yaw, speed, accel, _ = (float(value[0]) for value in now)
        poses = self.driver.laid(wish, self.line, Pose(x, y, yaw), speed_mps=speed, accel_mps2=accel)
        driven = follow(filled(poses, TIMES_S)[None], now, steps=EVERY)
        self.ahead = [Motion(*(value[:, step] for value in driven)) for step in range(1, EVERY + 1)]

    def step(self, run: SteeredRun) -> Steered:
        """Moves the car by one tick."""
        now = self.ahead.pop(0)
        # A car does not roll back: at a stand Euler's rule can leave a small speed below 0.
        now = now._replace(speed_mps=np.maximum(now.speed_mps, 0.0))
        self.motion.append(now)
        x, y, yaw = self.road.place(*(float(value[0]) for value in now[:3]))
        bend = float(now.yaw_rate_radps[0] / max(now.speed_mps[0], 0.1)) * (-1 if run.town.left_hand else 1)
        return Steered(x, y, yaw, float(now.speed_mps[0]), float(now.accel_mps2[0]), bend)

    def check(self, run: SteeredRun) -> None:
        """Notes what went wrong in the last tick."""
        here = corners(np.array(run.ego[:3]))
        boxes, kinds = run.boxes(_NEAR_M)
        if len(boxes):
            met = np.flatnonzero(touching(here, box_corners(boxes[:, :5])))
            if len(met):
                self.hit = kinds[met[0]]
                self.at_fault = self._at_fault(run, boxes[met[0]])
        out_m = abs(run.offset_m + run.half_road_m / 2) + WIDTH_M / 2 - run.half_road_m / 2
        self.off_lane_s += STEP_S * (out_m > 0)
        before_m = self.front_m
        self.front_m = run.front_m
        self.red_lights += sum(before_m <= line_m < self.front_m for line_m in run.red_m())

    def _at_fault(self, run: SteeredRun, box: Floats) -> bool:
        if run.speed_mps <= _STANDING_MPS:
            return False
        return not bool(behind(np.array(run.ego[:3]), box[:2]))

    def _line(self, run: SteeredRun) -> Centerline:
        x, y, yaw = run.route.at(run.rear_axle_m, run.lane_offset_m(self.lane))
        return self.routes.centerline(self.road.route(run.rear_axle_m), Pose(*self.road.pose(x, y, yaw)))

    def outcome(self, run: SteeredRun) -> Outcome:
        motion = Motion(*(np.stack(values, axis=1) for values in zip(*self.motion, strict=True)))
        return Outcome(
            self.scenario.name, str(self.scenario.drive.index), run.rear_axle_m - self.begin_m,
            human_progress_m(self.scenario), (len(self.motion) - 1) * STEP_S, self.hit, self.at_fault, self.red_lights,
            round(self.off_lane_s, 1), _comfortable(motion),
        )  # fmt: skip


def _comfortable(motion: Motion) -> float:
    """Share of the windows of a drive ``[1, t]`` in which all bounds hold; the last one may be shorter."""
    size, length = round(_WINDOW_S / STEP_S), motion.x_m.shape[1]
    windows = [slice(start, start + size + 1) for start in range(0, max(length - size // 2, 1), size)]
    good = [all(bool(held[0]) for held in comfort(Motion(*(v[:, part] for v in motion))).values()) for part in windows]
    return float(np.mean(good))
