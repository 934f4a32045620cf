"""One frame of the built-in world as the dictionary that an OpenScene log holds for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.runs import seed_of
from roadstill.world.roadmap import RoadMap
from roadstill.world.scene import RoadObject, Scene

FOCAL_SHARE = 1545 / 1080  # focal length per height of the picture
CAMERA_YAW_DEG = {
    "CAM_F0": 0, "CAM_L0": 55, "CAM_R0": -55, "CAM_L1": 110, "CAM_R1": -110, "CAM_L2": 140, "CAM_R2": -140,
    "CAM_B0": 180,
}  # fmt: skip
CLASSES = {
    "car": "vehicle", "van": "vehicle", "truck": "vehicle", "bus": "vehicle", "pedestrian": "pedestrian",
    "bicycle": "bicycle", "cone": "traffic_cone", "barrier": "barrier", "sign": "czone_sign",
    "bin": "generic_object", "crate": "generic_object", "trolley": "generic_object",
}  # fmt: skip
BOXES_WITHIN_M = 64.0
SCENE_FRAMES = 40  # a scene of the data set is 20 s long
_CAMERA_M = np.array([1.6, 0.0, 1.55])
_ROUTELESS = 30  # one log of so many has a scene whose route could not be repaired
_UNKNOWN = 3  # its command


@dataclass(frozen=True)
class Naming:
    """The names in one log."""

    log: str
    vehicle: str
    key: tuple[int | str, ...]
    epoch_us: int  # time of second 0 of the drive
    count: int

    @property
    def drive(self) -> str:
        """The drive's name: the log's without its seconds."""
        return "_".join(self.log.split("_")[:2])

    def hexed(self, what: str, *which: object) -> str:
        """A token of 16 hex digits."""
        return f"{seed_of(what, *self.key, *which):016x}"

    def token(self, frame: int) -> str:
        """The token of a frame."""
        return self.hexed("frame", frame)

    def image(self, frame: int, camera: str = "CAM_F0") -> str:
        """Path of a picture relative to the sensor split; its name is not the frame's token."""
        return f"{self.log}/{camera}/{self.hexed('image', frame, camera)}.jpg"

    def routed(self, part: int) -> bool:
        """Whether a scene of the log has a route; where repair failed, genuine logs have none."""
        drawn = seed_of("route", *self.key)
        return bool(drawn % _ROUTELESS) or drawn // _ROUTELESS % math.ceil(self.count / SCENE_FRAMES) != part


def frames_of(
    naming: Naming, scenes: Sequence[Scene], road: RoadMap, width_px: int, height_px: int
) -> list[dict[str, Any]]:
    """The whole log, with poses and ids of the map that ``road`` is part of."""
    rig = _Rig.of(width_px, height_px)
    return [_frame(naming, index, scenes, road, rig) for index in range(len(scenes))]


@dataclass(frozen=True)
class _Rig:
    """Calibration, one array each for all frames: the pickle then holds it once.

    The lidar frame is the ego frame, as in the genuine data, whose merged point clouds have their origin at the rear
    axle: boxes are in the ego frame, and readers project them with ``sensor2lidar_*`` as they are.
    """

    lidar2ego: NDArray[np.float64]
    cameras: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, width_px: int, height_px: int) -> "_Rig":
        focal = FOCAL_SHARE * height_px
        intrinsic = np.array([[focal, 0.0, width_px / 2], [0.0, focal, height_px / 2], [0.0, 0.0, 1.0]])
        cameras = {}
        for name, degrees in CAMERA_YAW_DEG.items():
            c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            cameras[name] = {  # columns: the camera's right, down and forward in the lidar frame
                "sensor2lidar_rotation": np.array([[s, 0.0, c], [-c, 0.0, s], [0.0, -1.0, 0.0]]),
                "sensor2lidar_translation": _CAMERA_M,
                "cam_intrinsic": intrinsic,
                "distortion": np.zeros(5),
            }
        return cls(np.eye(4), cameras)


def _frame(naming: Naming, index: int, scenes: Sequence[Scene], road: RoadMap, rig: _Rig) -> dict[str, Any]:
    scene = scenes[index]
    facts = scene.facts
    v, accel = float(facts["speed_mps"]), float(facts["accel_mps2"])
    curvature = float(facts["curvature_per_m"])
    x, y, yaw = road.pose(scene.ego_x_m, scene.ego_y_m, scene.ego_yaw_rad)
    place, yaw = [x, y, 0.0], math.remainder(yaw, 2 * math.pi)
    quaternion = [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]
    aside = v * v * curvature
    can_bus = np.array([*place, *quaternion, accel, aside, 9.81, v, 0.0, 0.0, 0.0, 0.0, v * curvature, 0.0, 0.0])
    ego2global = np.eye(4)
    ego2global[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    ego2global[:3, 3] = place
    command = np.zeros(4, dtype=np.int64)
    part = index // SCENE_FRAMES
    routed = naming.routed(part)
    command[int(facts["command"]) if routed else _UNKNOWN] = 1
    return {
        "token": naming.token(index),
        "frame_idx": index % SCENE_FRAMES,
        "timestamp": naming.epoch_us + round(float(facts["time_s"]) * 1e6),
        "log_name": naming.log,
        "log_token": naming.hexed("log"),
        "scene_name": f"{naming.log}-scene-{part:04d}",
        "scene_token": naming.hexed("scene", part),
        "map_location": road.location,
        "vehicle_name": naming.vehicle,
        "roadblock_ids": road.route(scenes[part * SCENE_FRAMES].ego_s_m) if routed else [],  # one for a scene
        "can_bus": can_bus,
        "ego2global_translation": can_bus[:3].copy(),
        "ego2global_rotation": can_bus[3:7].copy(),
        "ego2global": ego2global,
        "lidar2ego": rig.lidar2ego,
        "lidar2ego_translation": rig.lidar2ego[:3, 3],
        "lidar2ego_rotation": [1.0, 0.0, 0.0, 0.0],
        "lidar2global": ego2global @ rig.lidar2ego,
        "ego_dynamic_state": [v, 0.0, accel, aside],
        "traffic_lights": [
            (connector, light.state in ("red", "red_amber"))
            for light in scene.lights
            for connector in road.lit[light.stop_line_s_m]
        ],
        "driving_command": command,
        "lidar_path": f"{naming.log}/MergedPointCloud/{naming.hexed('lidar', index)}.pcd",
        "cams": {name: {"data_path": naming.image(index, name), **part} for name, part in rig.cameras.items()},
        "sample_prev": naming.token(index - 1) if index else None,
        "sample_next": naming.token(index + 1) if index + 1 < naming.count else None,
        "anns": _annotations(naming, scene),
    }


def _annotations(naming: Naming, scene: Scene) -> dict[str, Any]:
    """Boxes seen from the ego: a mirror turns their left side and their yaw."""
    c, s, left = math.cos(scene.ego_yaw_rad), math.sin(scene.ego_yaw_rad), -1.0 if scene.mirrored else 1.0
    boxes: list[list[float]] = []
    speeds: list[list[float]] = []
    things: list[RoadObject] = []
    for thing in (*scene.objects, *scene.layout.parked):
        dx, dy = thing.x_m - scene.ego_x_m, thing.y_m - scene.ego_y_m
        if dx * dx + dy * dy > BOXES_WITHIN_M**2:
            continue
        yaw = left * (thing.yaw_rad - scene.ego_yaw_rad)
        x, y, z = dx * c + dy * s, left * (dy * c - dx * s), thing.height_m / 2
        boxes.append([x, y, z, thing.length_m, thing.width_m, thing.height_m, yaw])
        speeds.append([thing.speed_mps * math.cos(yaw), thing.speed_mps * math.sin(yaw), 0.0])
        things.append(thing)
    return {
        "gt_boxes": np.array(boxes, dtype=np.float64).reshape(-1, 7),
        "gt_names": np.array([CLASSES[thing.kind] for thing in things]),  # empty: float64, as in the genuine files
        "gt_velocity_3d": np.array(speeds, dtype=np.float64).reshape(-1, 3),
        "instance_tokens": [naming.hexed("box", thing.track, scene.facts["frame"]) for thing in things],
        "track_tokens": [thing.track for thing in things],
    }
