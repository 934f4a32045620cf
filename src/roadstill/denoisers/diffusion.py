"""The arithmetic of discrete diffusion, one small function per formula; ``[b]`` steps index a schedule's tables."""

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from roadstill.runs.progress import track
from roadstill.schedules import NoiseSchedule

Predict: TypeAlias = "Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]"
Noise: TypeAlias = "Callable[[], Tensor]"


def at_step(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Entries of a schedule's float64 table at steps ``[b]`` as float32 that multiplies ``like``: ``[b, 1, ...]``."""
    return table.to(t.device)[t].float().reshape(-1, *[1] * (like.ndim - 1))


def add_noise(schedule: NoiseSchedule, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Draws x_t from x_0 (Ho et al. 2020, eq. 4)."""
    signal = at_step(schedule.alpha_bar.sqrt(), t, clean)
    return signal * clean + at_step((1 - schedule.alpha_bar).sqrt(), t, clean) * noise


def clean_from_noise(schedule: NoiseSchedule, noisy: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """The clean latent that a noise estimate implies, not clipped (Ho et al. 2020, eq. 4 solved for x_0)."""
    inverse = 1 / schedule.alpha_bar
    return at_step(inverse.sqrt(), t, noisy) * noisy - at_step((inverse - 1).sqrt(), t, noisy) * eps


def posterior_mean(schedule: NoiseSchedule, clean: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
    """Mean of x_{t-1} given x_t and x_0 (Ho et al. 2020, eq. 7)."""
    by_clean = at_step(schedule.posterior_mean_clean, t, noisy)
    return by_clean * clean + at_step(schedule.posterior_mean_noisy, t, noisy) * noisy


def log_variance(schedule: NoiseSchedule, logits: Tensor | None, t: Tensor, like: Tensor) -> Tensor:
    """Log variance of the reverse step: learned between two bounds (Nichol and Dhariwal 2021, eq. 15), else beta."""
    if logits is None:
        fixed = torch.cat([schedule.posterior_variance[1:2], schedule.betas[1:]]).log()
        return at_step(fixed, t, like).expand_as(like)
    share = (logits + 1) / 2
    upper, lower = at_step(schedule.betas.log(), t, like), at_step(schedule.posterior_log_variance, t, like)
    return share * upper + (1 - share) * lower


def variational_term(
    schedule: NoiseSchedule, clean: Tensor, noisy: Tensor, t: Tensor, eps: Tensor, logits: Tensor
) -> Tensor:
    """The bound's term at step t in bits per dimension, ``[b]`` (Nichol and Dhariwal 2021, eq. 4 to 7).

    Give ``eps`` detached: the term then trains the variance logits alone.
    """
    mean = posterior_mean(schedule, clean_from_noise(schedule, noisy, t, eps), noisy, t)
    log_var = log_variance(schedule, logits, t, noisy)
    true_mean = posterior_mean(schedule, clean, noisy, t)
    true_log_var = at_step(schedule.posterior_log_variance, t, noisy)
    gap = log_var - true_log_var
    divergence = 0.5 * (gap - 1 + torch.exp(-gap) + (true_mean - mean) ** 2 * torch.exp(-log_var))
    bits = divergence.flatten(1).mean(1)
    first = t == 0
    if bool(first.any()):
        likelihood = _discretised_log_likelihood(clean, mean, log_var).flatten(1).mean(1)
        bits = torch.where(first, -likelihood, bits)
    return bits / math.log(2)


def _discretised_log_likelihood(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Log probability of the bin of width 2/255 around x under a Gaussian, one-sided beyond +-0.999 (a pixel habit)."""
    centred, inverse_std = x - mean, torch.exp(-0.5 * log_var)
    above = _approximate_normal_cdf((centred + 1 / 255) * inverse_std)
    below = _approximate_normal_cdf((centred - 1 / 255) * inverse_std)
    probability = torch.where(x < -0.999, above, torch.where(x > 0.999, 1 - below, above - below))
    return probability.clamp(min=1e-12).log()


def _approximate_normal_cdf(z: Tensor) -> Tensor:
    """The tanh form of the normal distribution function that the reference trained with; erf gives other losses."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def ancestral_step(
    schedule: NoiseSchedule, noisy: Tensor, t: Tensor, eps: Tensor, logits: Tensor | None, noise: Tensor
) -> Tensor:
    """x_{t-1} from x_t by the reverse chain (Ho et al. 2020, algorithm 2); no noise at step 0."""
    mean = posterior_mean(schedule, clean_from_noise(schedule, noisy, t, eps), noisy, t)
    std = torch.exp(0.5 * log_variance(schedule, logits, t, noisy))
    return mean + (t > 0).float().reshape(-1, *[1] * (noisy.ndim - 1)) * std * noise


def ddim_step(
    schedule: NoiseSchedule, noisy: Tensor, t: Tensor, eps: Tensor, noise: Tensor | None = None, eta: float = 0.0
) -> Tensor:
    """x_{t-1} from x_t by DDIM (Song et al. 2021, eq. 12 and 16); ``eta`` 0 needs no noise."""
    now, before = schedule.alpha_bar, schedule.alpha_bar_before
    sigma = eta * ((1 - before) / (1 - now) * (1 - now / before)).sqrt()
    clean = clean_from_noise(schedule, noisy, t, eps)
    direction = at_step((1 - before - sigma**2).clamp(min=0).sqrt(), t, noisy)
    stepped = at_step(before.sqrt(), t, noisy) * clean + direction * eps
    if eta == 0 or noise is None:
        return stepped
    return stepped + (t > 0).float().reshape(-1, *[1] * (noisy.ndim - 1)) * at_step(sigma, t, noisy) * noise


def renoised(schedule: NoiseSchedule, noisy: Tensor, t: Tensor, clean: Tensor, noise: Tensor) -> Tensor:
    """x_{t-1} of a clean estimate under fresh noise (Song et al. 2023, consistency models, algorithm 1)."""
    before = schedule.alpha_bar_before
    return at_step(before.sqrt(), t, noisy) * clean + at_step((1 - before).sqrt(), t, noisy) * noise


def multistep(schedule: NoiseSchedule, noisy: Tensor, t: Tensor, clean: Tensor, earlier: Tensor | None) -> Tensor:
    """x_{t-1} from x_t by DPM-Solver++ 2M (Lu et al. 2022, algorithm 2), ``earlier`` being the last clean estimate.

    The first step, and the last one onto the clean latent, are of first order.
    """
    now, before = schedule.alpha_bar, schedule.alpha_bar_before
    if earlier is not None and int(t[0]) > 0:
        half_log_snr = 0.5 * (now / (1 - now)).log()
        i = int(t[0])
        ratio = (half_log_snr[i] - half_log_snr[i + 1]) / (half_log_snr[i - 1] - half_log_snr[i])
        clean = clean + (clean - earlier) / (2 * float(ratio))
    kept = ((1 - before) / (1 - now)).sqrt()
    # alpha' (1 - e^-h), written so that it is exact at the clean end, where h is infinite.
    added = before.sqrt() - kept * now.sqrt()
    return at_step(kept, t, noisy) * noisy + at_step(added, t, noisy) * clean


def sample(
    predict: Predict,
    schedule: NoiseSchedule,
    start: Tensor,
    noise: Noise,
    *,
    solver: str = "ddpm",
    eta: float = 0.0,
    walked: int | None = None,
    trace: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Walks a (respaced) chain from its noisy end, or from a step on the way, to a clean latent.

    Args:
        predict: (noisy latents, what the network is told as time) -> noise estimate and variance logits (or None).
        schedule: the chain, every step of which is taken.
        start: latents as noisy as the first step that is taken, ``[b, c, h, w]``.
        noise: draws one step's noise; called once per step that needs it, in order.
        solver: ``ddpm`` (ancestral), ``ddim``, ``dpm`` (DPM-Solver++ 2M) or ``consistency``.
        eta: DDIM's share of noise.
        walked: takes the last ``walked`` steps of the chain only; all by default.
        trace: called after each step with the number of steps done and the latents.
    """
    x, earlier = start, None
    for done, index in enumerate(track(range(walked or len(schedule))[::-1], "steps of sampling"), start=1):
        t = torch.full((len(x),), index, device=x.device)
        eps, logits = predict(x, schedule.timesteps.to(x.device)[t])
        fresh = solver in ("ddpm", "consistency") or (solver == "ddim" and eta > 0)
        drawn = noise() if index and fresh else torch.zeros_like(x)
        if solver == "dpm":
            clean = clean_from_noise(schedule, x, t, eps)
            x, earlier = multistep(schedule, x, t, clean, earlier), clean
        elif solver == "consistency":
            x = renoised(schedule, x, t, clean_from_noise(schedule, x, t, eps), drawn)
        elif solver == "ddpm":
            x = ancestral_step(schedule, x, t, eps, logits, drawn)
        else:
            x = ddim_step(schedule, x, t, eps, drawn, eta)
        if trace is not None:
            trace(done, x)
    return x
