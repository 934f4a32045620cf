import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from roadstill.errors import UserError
from roadstill.schedules import NoiseSchedule, Progressive, cosine, kept_timesteps, linear, read_schedule, spoon_cosine

pytestmark = pytest.mark.usefixtures("trusted")

NAMED = {"linear": linear(), "cosine2": cosine(2)} | {f"scos{n}": spoon_cosine(n) for n in range(2, 7)}


@pytest.mark.parametrize("name", NAMED)
def test_betas_equal_the_reference(golden, name):
    values = golden("schedules")
    values.check(f"{name}.betas", NAMED[name])
    values.check(f"{name}.alpha_bar", NoiseSchedule.of(NAMED[name]).alpha_bar)


@pytest.mark.parametrize(("steps", "last"), [(400, 0.05), (2000, 0.01), (1000, 0.02), (21, 0.02 * 1000 / 21)])
def test_chains_of_other_lengths_end_with_the_same_noise(steps, last):
    betas = linear(steps)
    assert (float(betas[0]), float(betas[-1])) == pytest.approx((last / 200, last))
    same = NoiseSchedule.of(linear()).alpha_bar[-1].log()
    if steps >= 400:
        torch.testing.assert_close(NoiseSchedule.of(betas).alpha_bar[-1].log(), same, rtol=0.05, atol=0)
        assert spoon_cosine(6, steps).le(betas).all()
        assert torch.equal(Progressive(("linear",), steps).at(0).betas, betas)
    with pytest.raises(UserError, match="strictly between 0 and 1"):
        NoiseSchedule.of(linear(20))


@pytest.mark.parametrize(("name", "steps", "spacing"), [
    ("50", 50, "even"), ("250", 250, "even"), ("21", 21, "even"), ("ddim50", 50, "stride"),
])  # fmt: skip
def test_kept_timesteps_equal_the_reference(golden, name, steps, spacing):
    golden("schedules").check(f"respace.{name}.timesteps", kept_timesteps(steps, 1000, spacing))


@pytest.mark.parametrize("name", ["linear", "scos2"])
def test_respaced_schedules_equal_the_reference(golden, name):
    values, short = golden("schedules"), NoiseSchedule.of(NAMED[name]).respaced(50)
    values.check(f"respaced.{name}.50.betas", short.betas)
    values.check(f"respaced.{name}.50.alpha_bar", short.alpha_bar)
    values.check(f"respaced.{name}.50.posterior_log_variance_clipped", short.posterior_log_variance)
    values.check(f"respaced.{name}.50.posterior_mean_coef_x0", short.posterior_mean_clean)
    values.check(f"respaced.{name}.50.posterior_mean_coef_xt", short.posterior_mean_noisy)


def test_adding_the_stride_is_not_multiplying_it():
    multiplied = [[round(i * (999 / (n - 1))) for i in range(n)] for n in range(2, 1001)]
    differing = [n for n, kept in enumerate(multiplied, start=2) if kept_timesteps(n, 1000).tolist() != kept]
    assert differing[0] == 21
    assert 10 not in differing
    assert 250 not in differing


@given(st.integers(2, 1000))
def test_every_number_of_steps_visits_both_ends_in_order(steps):
    kept = kept_timesteps(steps, 1000)
    assert kept[0] == 0
    assert kept[-1] == 999
    assert len(kept) == steps
    assert (kept.diff() > 0).all()


@given(st.floats(1, 8), st.integers(2, 50))
def test_respacing_keeps_the_noise_levels(power, steps):
    full = NoiseSchedule.of(spoon_cosine(power))
    short = full.respaced(steps)
    torch.testing.assert_close(short.alpha_bar, full.alpha_bar[short.timesteps], rtol=1e-9, atol=0)


@pytest.mark.parametrize(("power", "last"), [(2, 889), (3, 823), (4, 748)])
def test_spoon_leaves_the_cosine_for_the_line_where_documented(power, last):
    follows = (spoon_cosine(power) == cosine(power)) & (cosine(power) < linear())
    assert follows.nonzero().max() == last


@pytest.mark.parametrize("steps", [0, 1, 1001])
def test_impossible_numbers_of_steps_are_refused(steps):
    with pytest.raises(UserError, match="choose 2 to 1000"):
        kept_timesteps(steps, 1000)


def test_a_stride_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="no whole stride"):
        kept_timesteps(501, 1000, "stride")


@pytest.mark.parametrize(
    "betas", [torch.zeros(10), torch.ones(10), torch.full((2, 2), 0.1), torch.tensor([math.nan] * 3)]
)
def test_senseless_betas_are_refused(betas):
    with pytest.raises(UserError, match="betas"):
        NoiseSchedule.of(betas)


def test_phases_share_the_training_equally():
    schedule = Progressive()
    assert [schedule.phase(i / 20) for i in range(21)] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 5
    assert schedule.phase(-1) == 0
    assert schedule.phase(2) == 4
    torch.testing.assert_close(schedule.at(0).betas, spoon_cosine(6), rtol=0, atol=0)
    torch.testing.assert_close(schedule.at(1).betas, spoon_cosine(2), rtol=0, atol=0)


@given(st.integers(1, 12), st.integers(1, 500))
def test_phases_start_on_time_for_any_length(phases, length):
    schedule = Progressive(tuple(range(2, 2 + phases)))
    for phase in range(phases):
        if (phase * length) % phases == 0:
            assert schedule.phase(phase * length // phases / length) == phase


def test_a_phase_may_be_the_line_or_a_function():
    schedule = Progressive(("linear", lambda: cosine(2)))
    torch.testing.assert_close(schedule.at(0).betas, linear(), rtol=0, atol=0)
    torch.testing.assert_close(schedule.at(0.5).betas, cosine(2), rtol=0, atol=0)
    with pytest.raises(UserError, match="sigmoid"):
        Progressive(("sigmoid",)).at(0)
    with pytest.raises(UserError, match="without phases"):
        Progressive(())


def test_retimed_tells_the_linear_time_of_equal_noise():
    told = NoiseSchedule.of(spoon_cosine(2)).retimed().timesteps
    documented = [23.7, 48.5, 73.4, 150.1, 261, 436, 745]
    np.testing.assert_allclose(told[[50, 100, 150, 300, 500, 750, 999]].numpy(), documented, atol=0.5)
    same = NoiseSchedule.of(linear()).retimed().timesteps
    torch.testing.assert_close(same, torch.arange(1000, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda: None, "RuntimeError|TypeError"),
        (lambda: {}["x"], "KeyError: 'x'"),
        (lambda: ["a"], "ValueError|TypeError"),
    ],
)
def test_a_schedule_of_ones_own_that_fails_is_one_line(monkeypatch, function, says):
    monkeypatch.setitem(sys.modules, "my_schedules", SimpleNamespace(mine=function))
    with pytest.raises(UserError, match=f"^schedule 'my_schedules.mine' failed .*({says}).*; it should return betas"):
        read_schedule("my_schedules.mine", train_steps=10)


def test_a_schedule_of_ones_own_may_be_a_list_of_single_precision(monkeypatch):
    own = SimpleNamespace(mine=lambda: linear().float().tolist(), single=lambda: linear().float())
    monkeypatch.setitem(sys.modules, "my_schedules", own)
    for name in ("mine", "single"):
        assert torch.allclose(read_schedule(f"my_schedules.{name}", train_steps=10).betas, linear(), rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 50, 999, 1000])
def test_trailing_timesteps_are_those_of_diffusers(steps):
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(timestep_spacing="trailing")
    theirs.set_timesteps(steps)
    kept = kept_timesteps(steps, 1000, "trailing")
    assert kept.flip(0).tolist() == theirs.timesteps.tolist()
    assert kept[-1] == 999
