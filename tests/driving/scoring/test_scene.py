"""Scenes are checked when they are made."""

import numpy as np
import pytest
from made_scenes import STEPS, scene, track

from roadstill.driving.scoring import Red
from roadstill.errors import UserError


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tracks": track(0, 0, steps=STEPS - 1)}, "tracks of 40 steps"),
        ({"human": scene().human[:9]} | {"human_mps": np.zeros(STEPS)}, "human is an array"),
        ({"human_mps": np.full(STEPS, np.inf)}, "human_mps is an array"),
        ({"red": Red((), np.zeros((1, STEPS), bool))}, "red lights"),
    ],
)
def test_what_is_wrong_is_told(changes, says):
    given = {name: getattr(scene(), name) for name in ("tracks", "ground", "line", "route", "human", "human_mps")}
    with pytest.raises(UserError, match=says):
        type(scene())(**given | changes)
