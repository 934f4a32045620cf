"""`BrakeAgent`: an agent of roadstill as one that NAVSIM's own scripts run."""

import os
from functools import lru_cache
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from roadstill.agents import open_agent
from roadstill.driving.centerline import Centerline, Routes
from roadstill.driving.deciding import Sight, decided_by
from roadstill.driving.maps import map_in, open_map
from roadstill.driving.plan import POSE_S, POSES, Driver
from roadstill.driving.poses import Floats, Pose
from roadstill.errors import UserError
from roadstill.frames import COMMANDS
from roadstill.images import centre_square

_STRAIGHT_M = 100.0  # of the line that stands in for a route where there is none

try:
    from navsim.agents.abstract_agent import AbstractAgent
    from navsim.common.dataclasses import SensorConfig, Trajectory
    from nuplan.planning.simulation.trajectory.trajectory_sampling import TrajectorySampling
except ImportError as error:
    _MISSING: ImportError | None = error
    AbstractAgent = object
else:
    _MISSING = None


class BrakeAgent(AbstractAgent):
    """Speed from the front camera, steering from the centerline of the route (thesis Figure 3.1).

    The agent sees one picture, its own speed and acceleration. The centerline comes from the map and the route, which
    NAVSIM's agents are not given: `requires_scene` is true, and the leaderboard does not accept such agents.

    Works with NAVSIM v1.1 and v2.2; in v1 ``trajectory_sampling`` is not passed on.

    Args:
        agent: folder of an agent, made by `roadstill train`.
        maps: folder of nuPlan's maps; ``NUPLAN_MAPS_ROOT`` if not given.
        trajectory_sampling: NAVSIM's own; 8 poses, one every 0.5 s.
        driver: settings of `roadstill.driving.plan.Driver` by name.

    Raises:
        UserError: the development kit cannot be imported, no folder of maps, another sampling, or no agent.
    """

    requires_scene = True

    def __init__(
        self,
        agent: str,
        maps: str | None = None,
        trajectory_sampling: Any = None,
        driver: dict[str, float] | None = None,
    ) -> None:
        if _MISSING is not None:
            raise UserError(
                f"NAVSIM's development kit cannot be imported ({_MISSING}); put checkouts of navsim and nuplan-devkit "
                "on PYTHONPATH and install what they need (docs/driving.md)"
            )
        sampling = trajectory_sampling or TrajectorySampling(time_horizon=POSES * POSE_S, interval_length=POSE_S)
        if (sampling.num_poses, sampling.interval_length) != (POSES, POSE_S):
            raise UserError(
                f"trajectory_sampling has {sampling.num_poses} poses, one every {sampling.interval_length} s; take "
                f"{POSES}, one every {POSE_S} s"
            )
        both = "trajectory_sampling" in signature(AbstractAgent.__init__).parameters
        super().__init__(**({"trajectory_sampling": sampling} if both else {}), requires_scene=True)
        self._sampling, self._folder, self._driver = sampling, Path(agent), Driver(**(driver or {}))
        root = maps or os.environ.get("NUPLAN_MAPS_ROOT")
        if not root or not Path(root).is_dir():
            raise UserError(f"there is no folder of maps {root or ''!r}; set NUPLAN_MAPS_ROOT, or give maps")
        self._routes_in = lru_cache(maxsize=None)(lambda name: Routes(open_map(map_in(Path(root), name))))

    def name(self) -> str:
        """The name in NAVSIM's tables."""
        return "roadstill_brake_agent"

    def get_sensor_config(self) -> Any:
        """The front camera of the last frame of the history."""
        return SensorConfig(**{field: [3] if field == "cam_f0" else False for field in SensorConfig.__annotations__})

    def initialize(self) -> None:
        """Loads the weights, once in each worker."""
        found = open_agent(self._folder)
        self._decide, self._size_px = decided_by(found, self._driver), found.size_px

    def compute_trajectory(self, agent_input: Any, scene: Any) -> Any:
        """Poses ``[8, 3]`` every 0.5 s in the frame of the rear axle.

        Raises:
            UserError: no picture.
        """
        picture = agent_input.cameras[-1].cam_f0.image
        if picture is None:
            raise UserError("the scene has no picture of the front camera; load the sensors of its last history frame")
        status = agent_input.ego_statuses[-1]
        speed = float(np.hypot(*status.ego_velocity))
        square = centre_square(Image.fromarray(np.asarray(picture)), self._size_px)
        command = COMMANDS[int(np.argmax(status.driving_command))]
        wish = self._decide(Sight(np.array(square), speed, 0.0, command))
        frame = scene.frames[scene.scene_metadata.num_history_frames - 1]
        pose = Pose(*(float(value) for value in frame.ego_status.ego_pose))
        poses = self.plan(
            wish, scene.scene_metadata.map_name, frame.roadblock_ids, pose, speed, float(status.ego_acceleration[0])
        )
        return Trajectory(poses.astype(np.float32), self._sampling)

    def plan(
        self, wish: float, location: str, route: list[str], pose: Pose, speed_mps: float, accel_mps2: float
    ) -> Floats:
        """What `compute_trajectory` plans, from a decision on; without a route straight ahead."""
        routes = self._routes_in(location)
        try:
            line = routes.centerline(route, pose)
        except UserError:  # no block of it is in the map, or no road is near
            ahead = np.array([0.0, _STRAIGHT_M])[:, None] * (np.cos(pose.yaw_rad), np.sin(pose.yaw_rad))
            line = Centerline(np.array(pose[:2]) + ahead)
        return self._driver.plan(wish, line, pose, speed_mps=speed_mps, accel_mps2=accel_mps2)
