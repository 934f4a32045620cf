"""Logs whose motion fits together: a car on a straight road of some heading, told in its own frame or the map's."""

import math
import pickle

import numpy as np


def moving_log(log, heading_deg=0.0, *, axes="ego", frames=40, poses=True, sign=1.0, place=0):
    """Frames of a car that speeds up and brakes with 2 m/s², 4 s each, between 4 and 12 m/s.

    Args:
        log: name of the log.
        heading_deg: where the car goes, from the map's x axis.
        axes: ego, map, or left (x to the left, y backwards) for velocities and accelerations.
        frames: number of frames at 2 Hz.
        poses: whether the log has poses: True, False, matrix (4 x 4 alone) or wrong (of another road).
        sign: factor of the accelerations.
        place: number that keeps tokens of several logs apart.
    """
    heading = math.radians(heading_deg)
    c, s = math.cos(heading), math.sin(heading)
    turn = {"ego": (1.0, 0.0), "map": (c, s), "left": (0.0, -1.0)}[axes]
    found = []
    for index in range(frames):
        time_s = index / 2
        phase = time_s % 8
        accel = 2.0 if phase < 4 else -2.0
        speed = 4 + 2 * phase if phase < 4 else 12 - 2 * (phase - 4)
        # whole periods of 64 m, then what the current one adds
        way = 64 * (time_s // 8) + (4 * phase + phase**2 if phase < 4 else 32 + 12 * (phase - 4) - (phase - 4) ** 2)
        matrix = np.eye(4)
        matrix[:2, :2] = [[c, -s], [s, c]]
        matrix[:3, 3] = [3e5 + way * c, 4e6 + way * s, 0]
        if poses == "wrong":
            matrix[:3, 3] *= 0
        entry = {
            "token": f"{place:08x}{index:08x}",
            "timestamp": 1_620_000_000_000_000 + 500_000 * index,
            "log_name": log,
            "map_location": "us-ma-boston",
            "roadblock_ids": ["1"],
            "ego_dynamic_state": [speed * turn[0], speed * turn[1], sign * accel * turn[0], sign * accel * turn[1]],
            "driving_command": np.array([0, 1, 0, 0]),
            "cams": {"CAM_F0": {"data_path": f"{log}/CAM_F0/{place:04x}{index:012x}.jpg"}},
        }
        if poses == "matrix":
            entry["ego2global"] = matrix
        elif poses:
            entry["ego2global_translation"] = matrix[:3, 3].copy()
            entry["ego2global_rotation"] = np.array([math.cos(heading / 2), 0, 0, math.sin(heading / 2)])
        found.append(entry)
    return found


def write_logs(root, headings_deg, **settings):
    """A folder of one log for each heading, in NAVSIM's layout; returns the names of the logs."""
    folder = root / "navsim_logs" / "trainval"
    folder.mkdir(parents=True)
    names = []
    for place, heading_deg in enumerate(headings_deg):
        names.append(log := f"2021.05.{place + 1:02d}.10.00.00_veh-35_00001_00002")
        told = {key: value[place] if isinstance(value, list) else value for key, value in settings.items()}
        entries = moving_log(log, heading_deg, **{"place": place} | told)
        (folder / f"{log}.pkl").write_bytes(pickle.dumps(entries, 4))
    return names
