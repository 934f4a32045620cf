"""Stand-ins for the parts of NAVSIM's development kit that an agent touches, in the forms of its versions 1 and 2."""

import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

CAMERAS = ("cam_f0", "cam_l0", "cam_l1", "cam_l2", "cam_r0", "cam_r1", "cam_r2", "cam_b0", "lidar_pc")


class Sampling:
    def __init__(self, time_horizon, interval_length):
        self.interval_length, self.num_poses = interval_length, round(time_horizon / interval_length)


class AgentOfV1:
    def __init__(self, requires_scene=False):
        self.requires_scene = requires_scene


class AgentOfV2:
    def __init__(self, trajectory_sampling, requires_scene=False):
        self.requires_scene, self.known_sampling = requires_scene, trajectory_sampling


@dataclass
class Trajectory:
    poses: object
    trajectory_sampling: object


@dataclass
class SensorConfig:
    cam_f0: object
    cam_l0: object
    cam_l1: object
    cam_l2: object
    cam_r0: object
    cam_r1: object
    cam_r2: object
    cam_b0: object
    lidar_pc: object


def install(monkeypatch, base):
    """Lets `roadstill.navsim` find a kit whose agents derive from this class; gives the module anew."""
    contents = {
        "navsim.agents.abstract_agent": {"AbstractAgent": base},
        "navsim.common.dataclasses": {"SensorConfig": SensorConfig, "Trajectory": Trajectory},
        "nuplan.planning.simulation.trajectory.trajectory_sampling": {"TrajectorySampling": Sampling},
    }
    for name, values in contents.items():
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            whole = ".".join(parts[:end])
            module = ModuleType(whole)
            module.__path__ = []
            monkeypatch.setitem(sys.modules, whole, module)
        vars(module).update(values)
    for name in [each for each in sys.modules if each.startswith("roadstill.navsim")]:
        monkeypatch.delitem(sys.modules, name)
    import roadstill.navsim

    return roadstill.navsim


def scene_of(pose, route, picture, *, speed=6.0, accel=0.5, location="us-ma-boston"):
    """An agent's input and its scene, as far as an agent looks at them."""
    status = SimpleNamespace(ego_velocity=(speed, 0.0), ego_acceleration=(accel, 0.0), driving_command=(0, 1, 0, 0))
    camera = SimpleNamespace(cam_f0=SimpleNamespace(image=picture))
    frame = SimpleNamespace(ego_status=SimpleNamespace(ego_pose=pose), roadblock_ids=route)
    metadata = SimpleNamespace(num_history_frames=4, map_name=location)
    given = SimpleNamespace(cameras=[camera] * 4, ego_statuses=[status] * 4)
    return given, SimpleNamespace(frames=[None, None, None, frame], scene_metadata=metadata)
