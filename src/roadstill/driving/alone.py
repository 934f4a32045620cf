"""A car alone on a map: along its route, at the speed that the driver and the limits allow."""

from collections.abc import Sequence
from itertools import pairwise

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from roadstill.driving.above import GOES, HOLDS, LINE, ROAD, View
from roadstill.driving.centerline import Centerline, Route
from roadstill.driving.maps import LaneMap
from roadstill.driving.plan import EVERY, POSE_S, TIMES_S, Driver, filled
from roadstill.driving.poses import Pose
from roadstill.driving.vehicle import Motion, corners, follow
from roadstill.errors import UserError

_SHOWN_PX = 768
_LOOKS_M, _BEND_M = 100.0, 4.0  # how far ahead bends are looked for, and how long one is at least
_ASIDE_MPS2 = 2.0  # lateral acceleration in bends
_GENTLY = 0.6  # share of the driver's brake that is used before them


def line_of(road: LaneMap, route: Sequence[str]) -> Centerline:
    """The centerline of a route from the begin of its first block; the fewest blocks between those named are taken.

    Raises:
        UserError: a block that is not in the map, blocks that no way joins, or more of them than a centerline has.
    """
    graph = nx.DiGraph([(block, other) for block, others in road.following.items() for other in others])
    blocks = list(route[:1])
    for before, after in pairwise(route):
        try:
            blocks += nx.shortest_path(graph, before, after)[1:]
        except nx.NodeNotFound:
            unknown = before if before not in graph else after
            raise UserError(f"the block {unknown!r} is not in the map, or leads nowhere") from None
        except nx.NetworkXNoPath:
            raise UserError(f"no way leads from block {before} to {after}") from None
    lanes = road.lanes_of(blocks[:1])
    if not lanes:
        raise UserError(f"the block {blocks[0] if blocks else ''!r} is not in the map, or has no lane")
    first = lanes[0]
    line = Route(road, blocks).centerline(
        Pose(float(first.points_m[0, 0]), float(first.points_m[0, 1]), float(first.headings_rad[0]))
    )
    reached = {lane.block for lane in road.lanes_of(blocks) if lane.id in line.lanes}
    if blocks[-1] not in reached:
        raise UserError(
            f"lanes lead over {len(reached)} of the {len(blocks)} blocks from {blocks[0]} to {blocks[-1]}; take a last "
            "block nearer by"
        )
    return line


def drive_along(line: Centerline, driver: Driver, *, seconds: float, speed_mps: float = 0.0) -> Motion:
    """Drives from the begin of a line up to its end, as fast as driver and bends allow; arrays ``[t]`` every 0.1 s."""
    x, y, yaw = (float(value) for value in line.at(0.0))
    start = Motion(*(np.array([value]) for value in (x, y, yaw, speed_mps, 0.0, 0.0)))
    rows = [start]
    for _ in range(round(seconds / POSE_S)):
        now = rows[-1]
        pose = Pose(*(float(value[0]) for value in now[:3]))
        if float(line.project(np.array(pose[:2]))) >= line.length_m - 1.0:
            break
        speed, accel, limit = float(now.speed_mps[0]), float(now.accel_mps2[0]), _bend_limit_mps(line, pose, driver)
        poses = driver.laid(1.0, line, pose, speed_mps=speed, accel_mps2=accel, limit_mps=limit)
        driven = follow(filled(poses, TIMES_S)[None], now, steps=EVERY)
        rows += [Motion(*(value[:, step] for value in driven)) for step in range(1, EVERY + 1)]
    return Motion(*(np.array([float(row[at][0]) for row in rows]) for at in range(len(start))))


def _bend_limit_mps(line: Centerline, pose: Pose, driver: Driver) -> float:
    """The driver's limit, or the speed from which it can still slow down for each bend ahead if that is less."""
    ahead = np.arange(0.0, _LOOKS_M, _BEND_M)
    headings = np.unwrap(line.at(float(line.project(np.array(pose[:2]))) + ahead)[:, 2])
    bends = np.abs(np.diff(headings)) / _BEND_M
    fastest = _ASIDE_MPS2 / np.maximum(bends, 1e-6) + 2 * _GENTLY * driver.brake_mps2 * ahead[:-1]
    return min(driver.limit_mps, float(np.sqrt(fastest.min())))


def from_above(road: LaneMap, line: Centerline, motion: Motion, at: int) -> NDArray[np.uint8]:
    """The car from above at a step: lanes around it, its line, and its way so far; uint8 ``[s, s, 3]``."""
    pose = motion.poses[at]
    view = View(pose, side_px=_SHOWN_PX)
    for lane in road.near(float(pose[0]), float(pose[1]), 60.0):
        for part in getattr(lane.outline, "geoms", [lane.outline]):
            outline = np.asarray(part.exterior.coords)[:, :2]
            view.area(outline, ROAD)
            view.line(outline, LINE, 2)
    view.line(line.points_m, HOLDS, 2)
    view.area(corners(pose), GOES)
    if at:
        view.line(motion.poses[: at + 1, :2], GOES, 3)
    return view.pixels()
