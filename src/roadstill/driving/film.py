"""What a drive looks like: the pictures that the agent saw, beside a view from above."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from roadstill.driving.above import BEHIND_M, BRAKES, GOES, HOLDS, LINE, ROAD, SIDE_PX, View
from roadstill.driving.closed_loop import Outcome, Scenario, drive_scenario
from roadstill.driving.deciding import Decide
from roadstill.driving.plan import POSE_S, Driver
from roadstill.driving.poses import Floats
from roadstill.driving.sessions import Entrant, decide_of
from roadstill.driving.vehicle import corners
from roadstill.runs import atomic_path
from roadstill.world.steered import SteeredRun

_SHOWN_M = 60.0
_EGO = {-1: BRAKES, 0: HOLDS, 1: GOES}
_STRIP = 8  # pictures of a filmstrip


@dataclass(frozen=True)
class Shot:
    """One decision.

    Attributes:
        time_s: time since the beginning.
        pixels: what the agent saw, uint8 ``[s, s, 3]``.
        above: the same moment from above, uint8 ``[s, s, 3]``; the car drives upwards.
        wish: decision.
    """

    time_s: float
    pixels: NDArray[np.uint8]
    above: NDArray[np.uint8]
    wish: float


def film_of(scenario: Scenario, decide: Decide, *, driver: Driver, size_px: int) -> tuple[list[Shot], Outcome]:
    """Drives a scenario once more and keeps what there is to see; arguments and errors as `drive_scenario`."""
    shots: list[Shot] = []

    def look(frame: int, pixels: NDArray[np.uint8], run: SteeredRun, wish: float) -> None:
        shots.append(Shot(frame * POSE_S, pixels, from_above(run, wish), wish))

    outcome = drive_scenario(scenario, decide, driver=driver, size_px=size_px, look=look)
    return shots, outcome


def from_above(run: SteeredRun, wish: float = 0.0) -> NDArray[np.uint8]:
    """The surroundings of the ego from above, uint8 ``[192, 192, 3]``; its colour tells its decision."""
    pose = np.array(run.ego[:3])
    view = View(pose, mirrored=run.town.left_hand)  # the simulation drives on the right, what it shows does not
    along = np.arange(run.rear_axle_m - 2 * BEHIND_M, run.rear_axle_m + _SHOWN_M, 2.0)

    def line(offset_m: float) -> Floats:
        return np.array([run.route.at(float(s), offset_m)[:2] for s in along])

    half = run.half_road_m
    view.area(np.concatenate([line(half), line(-half)[::-1]]), ROAD)
    for lane in range(-len(run.lanes) + 1, len(run.lanes)):
        view.line(line(lane * run.town.lane_width_m), LINE, 2 if lane == 0 else 1)
    for stop_m in run.red_m():
        view.line(np.array([run.route.at(stop_m, offset)[:2] for offset in (0.0, -half)]), BRAKES, 3)
    boxes, kinds = run.boxes(_SHOWN_M)
    view.boxes(boxes[:, :5], kinds)
    view.area(corners(pose), _EGO[int(np.sign(round(wish, 1)))])
    return view.pixels()


def write_gif(path: Path, shots: list[Shot]) -> Path:
    """Writes a drive as a moving picture, twice as fast as it was driven."""
    frames = [
        Image.fromarray(np.concatenate([_enlarged(shot.pixels), shot.above], axis=1)).quantize(64) for shot in shots
    ]
    with atomic_path(path) as temporary:
        frames[0].save(
            temporary, "GIF", save_all=True, append_images=frames[1:], duration=round(500 * POSE_S), loop=0,
            optimize=True,
        )  # fmt: skip
    return path


def filmstrip(shots: list[Shot]) -> NDArray[np.uint8]:
    """Moments at even distances, the last one included: what the agent saw, and below it the view from above."""
    chosen = np.unique(np.linspace(0, len(shots) - 1, min(_STRIP, len(shots))).round().astype(int))
    columns = [np.concatenate([_enlarged(shots[at].pixels), shots[at].above], axis=0) for at in chosen]
    return np.concatenate(columns, axis=1)


def _enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))


def write_films(
    entrants: Sequence[Entrant], found: Mapping[str, Mapping[int, Sequence[Outcome]]], scenarios: Sequence[Scenario],
    out: Path, *, driver: Driver,
) -> list[Path]:  # fmt: skip
    """A success and a failure of one arm, each as a moving picture and as a strip; none of a kind that never happened.

    The success is the drive with most progress of those without a fault, the failure the longest one with a fault.
    """
    drives = [
        (entrant, scenario, outcome)
        for entrant in entrants
        for scenario, outcome in zip(scenarios, found[entrant.arm][entrant.seed], strict=True)
    ]
    good = [each for each in drives if each[2].score > 0]
    bad = [each for each in drives if each[2].at_fault or each[2].red_lights]
    written = []
    for name, some, key in (("success", good, _score), ("failure", bad, _seconds)):
        if some:
            entrant, scenario, _ = max(some, key=key)
            decide, size_px = decide_of(entrant, driver)
            shots, _ = film_of(scenario, decide, driver=driver, size_px=size_px)
            written.append(write_gif(out / f"{name}.gif", shots))
            with atomic_path(out / f"{name}.png") as temporary:
                Image.fromarray(filmstrip(shots)).save(temporary, "PNG")
    return written


def _score(drive: tuple[Entrant, Scenario, Outcome]) -> float:
    return drive[2].score + 1e-6 * drive[2].progress_m


def _seconds(drive: tuple[Entrant, Scenario, Outcome]) -> float:
    return drive[2].seconds
