"""Logs in the structure of OpenScene's (numpy and nothing else, so that an old numpy can write them too).

All numbers are multiples of 1/8: equal on every machine and under every numpy.
"""

from typing import Any

import numpy as np

LOG = "2021.05.12.22.00.38_veh-35_01008_01518"
CAMERAS = ("CAM_F0", "CAM_L0", "CAM_R0", "CAM_L1", "CAM_R1", "CAM_L2", "CAM_R2", "CAM_B0")
NAMES = ("vehicle", "pedestrian", "bicycle", "traffic_cone", "barrier", "czone_sign", "generic_object")


def _token(kind: int, *which: int) -> str:
    number = kind
    for part in which:
        number = number * 100_003 + part + 1
    return f"{number % 2**64:016x}"


def _eighths(shape: Any, start: int) -> "np.ndarray[Any, Any]":
    return (np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape) + start) / 8


def make_frame(index: int, boxes: int, log: str = LOG, **changes: Any) -> "dict[str, Any]":
    """One entry of a log, with every key that the genuine ones have; ``changes`` replace values of keys."""
    can_bus = _eighths(18, index)
    ego2global, lidar2ego = _eighths((4, 4), index), np.eye(4)
    wide = _eighths((boxes, 10), index)
    frame = {
        "token": _token(1, index),
        "frame_idx": index % 40,
        "timestamp": 1_620_000_000_000_000 + 500_000 * index,
        "log_name": log,
        "log_token": _token(2),
        "scene_name": f"{log}-scene-{index // 40:04d}",
        "scene_token": _token(3, index // 40),
        "map_location": "us-ma-boston",
        "vehicle_name": "veh-35",
        "roadblock_ids": [str(60_000 + number) for number in range(index, index + 12)],
        "can_bus": can_bus,
        "ego2global_translation": can_bus[:3],
        "ego2global_rotation": can_bus[3:7],
        "ego2global": ego2global,
        "lidar2ego": lidar2ego,
        "lidar2ego_translation": lidar2ego[:3, 3],  # not contiguous
        "lidar2ego_rotation": [1.0, 0.0, 0.0, 0.0],
        "lidar2global": (ego2global @ lidar2ego).T,  # in Fortran's order
        "ego_dynamic_state": [4.0 + index / 8, 0.125, -1.5, 0.25],
        "traffic_lights": [(70_000 + number, number % 2 == 0) for number in range(6)],
        "driving_command": np.eye(4, dtype=int)[index % 4],
        "lidar_path": f"{log}/MergedPointCloud/{_token(4, index)}.pcd",
        "cams": {
            name: {
                "data_path": f"{log}/{name}/{_token(5, index, number)}.jpg",
                "sensor2lidar_rotation": _eighths((3, 3), number),
                "sensor2lidar_translation": _eighths(3, number),
                "cam_intrinsic": _eighths((3, 3), 100 + number),
                "distortion": _eighths(5, number),
            }
            for number, name in enumerate(CAMERAS)
        },
        "sample_prev": _token(1, index - 1) if index else None,
        "sample_next": _token(1, index + 1),
        "anns": {
            "gt_boxes": wide[:, :7].copy(),
            "gt_names": np.array([NAMES[number % len(NAMES)] for number in range(boxes)]),  # none: float64
            "gt_velocity_3d": wide[:, 7:],  # not contiguous
            "instance_tokens": [_token(6, index, number) for number in range(boxes)],
            "track_tokens": [_token(7, number) for number in range(boxes)],
        },
    }
    return {**frame, **changes}


def make_log(frames: int, boxes: int, log: str = LOG) -> "list[dict[str, Any]]":
    """A log of so many frames with so many boxes each."""
    return [make_frame(index, boxes, log) for index in range(frames)]
