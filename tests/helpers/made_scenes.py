"""A road drawn by hand, and drives on it.

Two lanes to the east (y 0 and 3.5 m, block 1), one to the west (y 7 m, block 9), 3.5 m wide, from x -50 to 100; a
crossroads up to x 120, which connectors of blocks 2 and 8 cross; then blocks 3 and 7.
"""

import numpy as np
import shapely

from roadstill.driving.centerline import Centerline
from roadstill.driving.maps.lanes import Lane
from roadstill.driving.scoring import Ground, Scene, Tracks
from roadstill.driving.vehicle import MIDDLE_M, STEP_S, Motion

STEPS = 41
TIMES = np.arange(STEPS) * STEP_S
ROUTE = ("1", "2", "3")


def lane(name, block, x, y):
    """A lane from x[0] to x[1] around y."""
    low, high = sorted(x)
    points = np.array([[x[0], y], [x[1], y]], float)
    return Lane(name, block, points, shapely.box(low, y - 1.75, high, y + 1.75), (), block in "28")


def lanes():
    """All lanes."""
    found = []
    for west, east, blocks in ((-50, 100, "19"), (100, 120, "28"), (120, 300, "37")):
        found.append(lane(f"{blocks[0]}right", blocks[0], (west, east), 0.0))
        found.append(lane(f"{blocks[0]}left", blocks[0], (west, east), 3.5))
        found.append(lane(f"{blocks[1]}west", blocks[1], (east, west), 7.0))
    return found


def ground():
    """The road."""
    crossroads = shapely.box(100, -12, 120, 18)
    return Ground(lanes(), [shapely.box(-50, -1.75, 100, 8.75), crossroads, shapely.box(120, -1.75, 300, 8.75)],
                  [crossroads])  # fmt: skip


def drive(x_m=0.0, y_m=0.0, yaw_rad=0.0, speed_mps=10.0, accel_mps2=0.0):
    """One drive straight on, its middle there at first; arrays [1, 41]."""
    speed = np.maximum(speed_mps + accel_mps2 * TIMES, 0)
    way = np.append(0, np.cumsum((speed[1:] + speed[:-1]) / 2 * STEP_S)) - MIDDLE_M
    zeros = np.zeros(STEPS)
    rows = (x_m + way * np.cos(yaw_rad), y_m + way * np.sin(yaw_rad), zeros + yaw_rad, speed, zeros + accel_mps2, zeros)
    return Motion(*(row[None] for row in rows))


def both(*drives):
    """Several drives as one."""
    return Motion(*(np.concatenate(rows) for rows in zip(*drives, strict=True)))


def track(
    x_m, y_m, *, speed_mps=0.0, yaw_rad=0.0, length_m=4.0, width_m=2.0, agent=True, steps=STEPS, seen=slice(None)
):
    """One track that goes straight on at a speed."""
    way = speed_mps * np.arange(steps) * STEP_S
    box = [x_m + way * np.cos(yaw_rad), y_m + way * np.sin(yaw_rad), length_m, width_m, yaw_rad]
    there = np.zeros((1, steps), bool)
    there[:, seen] = True
    boxes = np.stack([np.broadcast_to(value, steps) for value in box], axis=-1)[None]
    return Tracks(boxes, there, np.array([agent]), np.array([not agent or abs(speed_mps) <= 0.05]))


def tracks(*some):
    """Several tracks as one; none: of no track."""
    if not some:
        return Tracks(np.zeros((0, STEPS, 5)), np.zeros((0, STEPS), bool), np.zeros(0, bool), np.zeros(0, bool))
    columns = ([getattr(each, name) for each in some] for name in ("boxes", "there", "agents", "stopped"))
    return Tracks(*(np.concatenate(rows) for rows in columns))


def scene(*some, human=None, line_y_m=0.0, **changes):
    """A scene on the road; the human drives at 10 m/s along the right lane if not told otherwise."""
    human = drive() if human is None else human
    line = Centerline(np.array([[-50.0, line_y_m], [300, line_y_m]]))
    given = {"tracks": tracks(*some), "ground": ground(), "line": line, "route": ROUTE, "human": human.poses[0],
             "human_mps": human.speed_mps[0]}  # fmt: skip
    return Scene(**given | changes)
