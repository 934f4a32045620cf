"""What defines a drive, and how it is told without simulating anything."""

import subprocess
import sys

import pytest

from roadstill.errors import UserError
from roadstill.world.drive import drives_of, schedule
from roadstill.world.spec import FRAME_S, LOG_FRAMES, LOGS, SHORT_LOGS, TOP_MPS, DriveSpec
from roadstill.world.traffic import DT_S


def test_a_key_frame_is_a_whole_number_of_ticks():
    assert FRAME_S / DT_S == pytest.approx(round(FRAME_S / DT_S))


def test_drawn_logs_keep_to_their_bounds():
    for spec in drives_of("demo", 40, 2):
        counts = [count for _, count in schedule(spec)]
        assert LOGS[0] <= len(counts) <= LOGS[1]
        assert all(LOG_FRAMES[0] <= count <= LOG_FRAMES[1] for count in counts)


def test_only_a_world_of_one_drive_has_short_logs():
    assert [count for _, count in schedule(drives_of("demo", 1, 2)[0])][-2:] == list(SHORT_LOGS)
    assert all(spec.more == () for spec in drives_of("demo", 2, 2))
    assert drives_of("demo", 1, 2, frames=(5,))[0].more == ()


def test_frames_that_are_given_are_not_drawn():
    spec = DriveSpec(1, 0, "gardenia", "day", "clear", frames=(7, 3), more=(2,))
    assert [count for _, count in schedule(spec)] == [7, 3, 2]


def test_a_spec_is_a_value():
    assert drives_of("demo", 3, 5) == drives_of("demo", 3, 5)
    assert len(set(drives_of("demo", 9, 5))) == 9
    with pytest.raises(UserError, match="moon"):
        drives_of("moon", 1, 0)


def test_places_need_no_simulation():
    code = "import sys, roadstill.world.places; print('roadstill.world.logrun' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_ego_is_faster_on_average_than_its_road_is_made_for():
    from roadstill.world.logrun import START_M, LogRun

    for spec in drives_of("demo", 4, 8):
        run = LogRun(spec, 0, 60)
        frames = list(run.key_frames())
        assert frames == list(range(60))
        assert run.rear_axle_m - START_M < 60 * FRAME_S * TOP_MPS
