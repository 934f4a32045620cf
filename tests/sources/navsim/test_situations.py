"""What a frame tells about its surroundings, and broken frames."""

import math

import numpy as np
import pytest
from made_logs import make_frame

from roadstill.sources.navsim.schema import BrokenFrame
from roadstill.sources.navsim.situations import read_situation


def frame(boxes=2, yaw_rad=0.5, **changes):
    """A frame whose values a car may have."""
    anns = {
        "gt_boxes": np.array([[10.0, 2, 1, 4, 2, 1.5, 0.1], [5, -3, 1, 0.5, 0.5, 1, 7]])[:boxes],
        "gt_names": np.array(["vehicle", "traffic_cone"][:boxes]),
        "gt_velocity_3d": np.array([[3.0, 4, 9], [0, 0, 0]])[:boxes],
        "instance_tokens": ["i", "j"][:boxes],
        "track_tokens": ["one", "two"][:boxes],
    } | changes.pop("anns", {})
    turned = [math.cos(yaw_rad / 2), 0, 0, math.sin(yaw_rad / 2)]
    return (
        make_frame(0, 0, ego2global_translation=np.array([3e5, 4e6, 2]), ego2global_rotation=turned, anns=anns)
        | changes
    )


def test_a_situation():
    found = read_situation(frame(traffic_lights=[(70, True), (71, False), (np.int64(72), np.bool_(True))]))
    np.testing.assert_allclose(found.pose, [3e5, 4e6, 0.5])
    assert found.motion.tolist() == [4, 0.125, -1.5, 0.25]
    assert found.route[:2] == ("60000", "60001")
    assert found.red == {"70", "72"}
    assert (found.tracks, found.classes) == (("one", "two"), ("vehicle", "traffic_cone"))
    assert found.speeds_mps.tolist() == [5, 0]
    assert found.boxes.shape == (2, 7)


def test_a_situation_without_boxes():
    # The genuine ones have an array of numbers for names then.
    found = read_situation(frame(0, anns={"gt_names": np.zeros(0), "gt_velocity_3d": np.zeros(0)}))
    assert found.boxes.shape == (0, 7)
    assert found.tracks == found.classes == ()
    assert found.speeds_mps.shape == (0,)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"timestamp": 1.5}, "timestamp: "),
        ({"timestamp": True}, "timestamp: "),
        ({"timestamp": -1}, "timestamp: "),
        ({"ego2global_translation": [1.0, 2.0]}, "ego2global_translation: numbers of shape"),
        ({"ego2global_translation": [1e9, 2.0, 0]}, "ego2global_translation: a value is not"),
        ({"ego2global_translation": [[1], [1, 2], 3]}, "ego2global_translation: numbers of shape"),
        ({"ego2global_rotation": [0.0, 0, 0, 0]}, "ego2global_rotation: not a rotation"),
        ({"ego2global_rotation": "wxyz"}, "ego2global_rotation: numbers"),
        ({"ego_dynamic_state": [math.inf, 0, 0, 0]}, "ego_dynamic_state: a value"),
        ({"roadblock_ids": [5]}, "roadblock_ids: 5 is not a name"),
        ({"roadblock_ids": "abc"}, "roadblock_ids: a list"),
        ({"roadblock_ids": ["a"] * 5000}, "roadblock_ids: a list"),
        ({"traffic_lights": 3}, "traffic_lights: a list"),
        ({"traffic_lights": [(1, True, 2)]}, "traffic_lights: pairs"),
        ({"traffic_lights": [("a", True)]}, "traffic_lights: a connector"),
        ({"traffic_lights": [(2**70, True)]}, "traffic_lights: a connector"),
        ({"traffic_lights": [(1, "yes")]}, "traffic_lights: is red"),
        ({"anns": {"track_tokens": ["one"]}}, "track_tokens: a list of 2 names"),
        ({"anns": {"track_tokens": ["one", "x" * 81]}}, "track_tokens: "),
        ({"anns": {"gt_velocity_3d": np.zeros((2, 2))}}, "gt_velocity_3d: numbers"),
        ({"anns": {"gt_velocity_3d": np.full((2, 3), np.nan)}}, "gt_velocity_3d: a value"),
        ({"anns": {"gt_boxes": np.zeros((3, 7))}}, "anns.gt_boxes: "),
        ({"anns": {"gt_names": np.array(["vehicle", "dragon"])}}, "anns.gt_names: "),
    ],
)
def test_broken_frames_are_told_in_one_line(changes, says):
    with pytest.raises(BrokenFrame, match=says) as error:
        read_situation(frame(**changes))
    assert "\n" not in str(error.value)


def test_every_needed_field_is_missed():
    for name in ("timestamp", "ego2global_translation", "ego2global_rotation", "ego_dynamic_state", "roadblock_ids",
                 "traffic_lights", "anns"):  # fmt: skip
        with pytest.raises(BrokenFrame, match=f"{name}: missing"):
            read_situation({key: value for key, value in frame().items() if key != name})
    with pytest.raises(BrokenFrame, match="missing"):
        read_situation(None)
