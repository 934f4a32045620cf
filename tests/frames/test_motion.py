"""Whether motion fits together: values by hand, and what is said of each way in which it may not."""

import numpy as np
import pytest

from roadstill.frames import FrameTable
from roadstill.frames.motion import Motion, central_difference


def test_central_difference_by_hand():
    """v at 0, 0.4, 1.0, 1.6 s is 1, 3, 4, 1; the window of 1 s reaches from t - 0.5 to t + 0.5."""
    time_us = np.array([0, 400_000, 1_000_000, 1_600_000])
    found = central_difference(time_us, np.array([1.0, 3.0, 4.0, 1.0]), window_s=1.0, step_s=0.7)
    # At 1.0 s: v(1.5) = 4 - 3 * 5/6 = 1.5, v(0.5) = 3 + 1/6. Elsewhere one of the two times lies outside.
    np.testing.assert_allclose(found, [np.nan, np.nan, 1.5 - (3 + 1 / 6), np.nan], rtol=1e-12)
    # With a window of 0.8 s the second row reaches exactly from the first row to v(0.8) = 3 + 2/3.
    found = central_difference(time_us, np.array([1.0, 3.0, 4.0, 1.0]), window_s=0.8, step_s=0.7)
    np.testing.assert_allclose(found[1:3], [(3 + 2 / 3 - 1) / 0.8, (4 - 3 * 2 / 3 - (3 + 1 / 3)) / 0.8], rtol=1e-12)


def test_central_difference_leaves_gaps_open():
    time_us = np.arange(8) * 500_000
    time_us[4:] += 5_000_000
    found = central_difference(time_us, 2.0 * time_us * 1e-6, window_s=1.0, step_s=1.0)
    np.testing.assert_allclose(found, [np.nan, 2, 2, np.nan, np.nan, 2, 2, np.nan])


def test_a_lag_looks_at_another_time():
    time_us = np.arange(7) * 500_000
    speed = (time_us * 1e-6) ** 2
    found = central_difference(time_us, speed, window_s=1.0, step_s=1.0, lag_s=0.5)
    np.testing.assert_allclose(found, [1, 2, 3, 4, 5, np.nan, np.nan])


def frames(accel, vx, vy=0.0, step_s=0.5):
    """A log whose rows are ``step_s`` apart."""
    rows = len(accel)
    return FrameTable.of(
        token=[f"t{row}" for row in range(rows)],
        log="a",
        timestamp_us=(np.arange(rows) * step_s * 1e6).astype(int),
        image=[f"a/{row}.jpg" for row in range(rows)],
        vx_mps=vx,
        vy_mps=np.broadcast_to(vy, rows),
        accel_mps2=accel,
    )


def wave(rows=200, step_s=0.5, shift_s=0.0):
    """Speed ``8 + 4 sin(0.9 t)`` and its derivative at a time that is shifted."""
    time_s = np.arange(rows) * step_s
    return 3.6 * np.cos(0.9 * (time_s + shift_s)), 8 + 4 * np.sin(0.9 * time_s)


def test_motion_that_fits():
    accel, speed = wave()
    motion = Motion.of(frames(accel, speed, 0.01 * speed))
    assert (motion.moving, motion.sideways_share) == (200, 0.01)
    assert motion.changing > 100
    assert motion.agreement == 1
    assert motion.contradiction() is None
    assert motion.doubts() == []
    assert str(motion) == (
        "motion: 1.0% of the speed is sideways (median of 200 frames above 2 m/s); accelerations have the sign of the "
        f"change of speed in 100% of {motion.changing} frames"
    )


def test_the_median_and_the_agreement_are_those_of_all_frames_together():
    accel, speed = wave()
    straight = Motion.of(frames(accel, speed))
    askew = Motion.of(frames(-accel[:90], speed[:90], speed[:90]))
    both = straight + askew
    assert both.moving == 290
    assert both.sideways_share == 0.0
    assert both.agreement == pytest.approx(straight.changing / (straight.changing + askew.changing))
    assert (askew + askew + askew + straight).sideways_share == pytest.approx(0.707, abs=1e-3)


@pytest.mark.parametrize(("share", "contradicts", "doubts"), [(0.04, 0, 0), (0.1, 0, 1), (0.3, 1, 0), (1.7, 1, 0)])
def test_sideways(share, contradicts, doubts):
    _, speed = wave()
    motion = Motion.of(frames(np.zeros(200), speed, share * speed))
    found = motion.contradiction()
    assert (found is not None and "not in the vehicle's frame" in found) == bool(contradicts)
    assert sum("in the vehicle's frame (x forward)?" in line for line in motion.doubts()) == doubts


def test_frames_that_stand_say_nothing_of_directions():
    assert Motion.of(frames(np.zeros(50), np.full(50, 0.5), 1.5)).moving == 0
    assert Motion().contradiction() is None
    assert Motion.of(frames([0.0], [8.0])).moving == 0


def test_accelerations_of_the_other_sign_contradict():
    accel, speed = wave()
    found = Motion.of(frames(-accel, speed)).contradiction()
    assert found.startswith("accelerations have the sign of the change of speed in 0% of ")
    assert found.endswith("so they have the other sign")


def test_accelerations_of_another_axis_are_doubtful():
    _, speed = wave()
    rng = np.random.default_rng(0)
    motion = Motion.of(frames(rng.normal(0, 2, 200), speed))
    assert motion.contradiction() is None
    assert "are they those along the vehicle?" in motion.doubts()[0]


def test_a_few_frames_prove_nothing():
    accel, speed = wave(12)
    motion = Motion.of(frames(-accel, speed))
    assert motion.agreement == 0
    assert motion.contradiction() is None
    short = [Motion.of(frames(-wave(12)[0], wave(12)[1])) for _ in range(4)]
    assert sum(short, Motion()).contradiction() is not None


@pytest.mark.parametrize("step_s", [0.05, 0.5])
@pytest.mark.parametrize(("shift_s", "when"), [(0.5, "0.5 s later"), (-0.5, "0.5 s earlier"), (1.0, "1 s later")])
def test_a_shift_in_time_is_noticed(shift_s, when, step_s):
    accel, speed = wave(round(100 / step_s), step_s, shift_s)
    motion = Motion.of(frames(accel, speed, step_s=step_s))
    assert motion.contradiction() is None
    assert f"accelerations fit the change of speed {when} best" in " ".join(motion.doubts())


def test_a_shift_is_noticed_where_speed_changes_slowly():
    """Of a period of 50 s, a shift of half a second turns over a label in fifty."""
    time_s = np.arange(2000) / 20
    speed, accel = 10 + 6 * np.sin(time_s / 8), 0.75 * np.cos((time_s + 0.5) / 8)
    (line,) = Motion.of(frames(accel, speed, step_s=0.05)).doubts()
    assert "accelerations fit the change of speed 0.5 s later best (correlation 1.000, 0.998 as they are)" in line


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_noise_is_no_shift(noise):
    accel, speed = wave()
    rng = np.random.default_rng(0)
    assert not any("best" in line for line in Motion.of(frames(accel + rng.normal(0, noise, 200), speed)).doubts())


def test_another_unit_is_noticed():
    accel, speed = wave()
    (line,) = Motion.of(frames(accel / 9.81, speed)).doubts()
    assert line == "accelerations are 0.11 times the change of speed; is their unit right?"
