"""Whether the motion of frames fits together: speed along the vehicle, and accelerations that are its change.

Labels come from one number a frame. If that is another axis' or has another sign, all are wrong and nothing fails.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.frames.table import FrameTable

MOVING_MPS = 2.0  # below it, directions are noise
CHANGE_MPS2 = 0.5  # changes of speed below it, too
ODD_SIDEWAYS, WRONG_SIDEWAYS = 0.05, 0.2  # a car drifts sideways by far less
ODD_AGREEMENT = 0.8
ENOUGH = 10  # frames that say something
_WINDOW_S, _STEP_S = 1.0, 1.5
_LAGS_S = (0.0, -1.0, -0.5, 0.5, 1.0)
_CELLS = 1000


def central_difference(
    time_us: NDArray[np.int64],
    speed_mps: NDArray[np.float64],
    window_s: float,
    step_s: float,
    lag_s: float = 0.0,
) -> NDArray[np.float64]:
    """Accelerations ``(v(t + w/2) - v(t - w/2)) / w`` in m/s², ``[n]``, with v linear between rows.

    Args:
        time_us: times at which the speeds were measured, increasing, ``[n]``.
        speed_mps: the speeds, ``[n]``.
        window_s: the window w.
        step_s: longest step between rows that a line may join.
        lag_s: time that is added to t.

    Returns:
        The accelerations, ``[n]``; NaN where v is not known at one of the two times.
    """
    half_us, lag_us = round(window_s * 5e5), round(lag_s * 1e6)
    before, after = (_speed_at(time_us + lag_us + at, time_us, speed_mps, step_s) for at in (-half_us, half_us))
    return (after - before) / (2e-6 * half_us)


def _speed_at(
    wanted_us: NDArray[np.int64], time_us: NDArray[np.int64], speed_mps: NDArray[np.float64], step_s: float
) -> NDArray[np.float64]:
    place = np.searchsorted(time_us, wanted_us)  # the first row at that time or later
    right = np.minimum(place, len(time_us) - 1)
    left = np.maximum(right - 1, 0)
    width = time_us[right] - time_us[left]
    share = (wanted_us - time_us[left]) / np.maximum(width, 1)
    between = speed_mps[left] + share * (speed_mps[right] - speed_mps[left])
    hit = time_us[right] == wanted_us
    joined = (place > 0) & (place < len(time_us)) & (width <= step_s * 1e6)
    return np.where(hit, speed_mps[right], np.where(joined, between, np.nan))


@dataclass(frozen=True)
class Motion:
    """What frames say about their own motion; that of several logs is added.

    Attributes:
        sideways: number of frames above 2 m/s by the share of the speed that is sideways, in thousandths, ``[1001]``.
        changing: number of those whose speed changes by over 0.5 m/s².
        agreeing: number of those whose acceleration has the sign of that change.
        sums: of 1, a, d, a², d² and ad of accelerations a and changes d half a second and a second earlier and later.
    """

    sideways: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_CELLS + 1, np.int64))
    changing: int = 0
    agreeing: int = 0
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((len(_LAGS_S), 6)))

    @classmethod
    def of(cls, frames: FrameTable) -> "Motion":
        """The motion of frames of one log, in the order of time."""
        if len(frames) < 2:
            return cls()
        speed, vy = frames.column("speed_mps"), frames.column("vy_mps")
        moving = speed > MOVING_MPS
        share = np.abs(vy[moving]) / speed[moving]
        sideways = np.bincount(np.rint(np.minimum(share, 1) * _CELLS).astype(np.int64), minlength=_CELLS + 1)
        time_us, accel = frames.column("timestamp_us"), frames.column("accel_mps2")
        if (np.diff(time_us) <= 0).any():
            return cls(sideways)
        changes = np.array([central_difference(time_us, speed, _WINDOW_S, _STEP_S, lag) for lag in _LAGS_S])
        told = moving & (np.abs(changes[0]) > CHANGE_MPS2)  # false where it is not known
        agreeing = int((np.sign(accel[told]) == np.sign(changes[0][told])).sum())
        both = moving & np.isfinite(changes).all(0)
        a, d = accel[both], changes[:, both]
        parts = np.broadcast_arrays(np.ones_like(d), a, d, a * a, d * d, a * d)
        return cls(sideways, int(told.sum()), agreeing, np.stack([part.sum(1) for part in parts], 1))

    def __add__(self, other: "Motion") -> "Motion":
        return Motion(
            self.sideways + other.sideways,
            self.changing + other.changing,
            self.agreeing + other.agreeing,
            self.sums + other.sums,
        )

    @property
    def moving(self) -> int:
        """Number of frames above 2 m/s."""
        return int(self.sideways.sum())

    @property
    def sideways_share(self) -> float:
        """Median share of the speed that is sideways, to a thousandth; 0 if nothing moves."""
        return int(np.searchsorted(np.cumsum(self.sideways), self.moving / 2)) / _CELLS if self.moving else 0.0

    @property
    def agreement(self) -> float:
        """Share of the changing frames whose acceleration has the right sign; 1 if there are none."""
        return self.agreeing / self.changing if self.changing else 1.0

    def contradiction(self, *, axes_known: bool = False) -> str | None:
        """Why the frames' labels cannot be right; None if nothing says so.

        Args:
            axes_known: whether velocities are known to be in the vehicle's frame, however far sideways they are.
        """
        if not axes_known and self.moving >= ENOUGH and self.sideways_share > WRONG_SIDEWAYS:
            return f"{self._sideways()}, so velocities and accelerations are not in the vehicle's frame (x forward)"
        if self._agrees_less_than_chance():
            return f"{self._signs()}, so they have the other sign"
        return None

    def _agrees_less_than_chance(self) -> bool:
        """Whether signs drawn at random would agree as seldom only once in ten thousand times."""
        return self.agreeing < self.changing / 2 - 3.7 * np.sqrt(self.changing) / 2

    def doubts(self) -> list[str]:
        """What is odd, a line each, although it does not prove that labels are wrong."""
        found = []
        if self.moving >= ENOUGH and ODD_SIDEWAYS < self.sideways_share <= WRONG_SIDEWAYS:
            found.append(f"{self._sideways()}; are velocities in the vehicle's frame (x forward)?")
        if self.changing >= ENOUGH and self.agreement < ODD_AGREEMENT and not self._agrees_less_than_chance():
            found.append(f"{self._signs()}; are they those along the vehicle?")
        count, a, d, aa, dd, ad = self.sums.T
        if count[0] < 3 * ENOUGH:
            return found
        spread = np.maximum(aa - a * a / count, 0) * np.maximum(dd - d * d / count, 0)
        fit = (ad - a * d / count) / np.sqrt(np.maximum(spread, 1e-12))
        best = int(fit.argmax())
        if fit[best] > 0.9 and 1 - fit[0] > 0.001 + 3 * (1 - fit[best]):
            when = "later" if _LAGS_S[best] > 0 else "earlier"
            found.append(
                f"accelerations fit the change of speed {abs(_LAGS_S[best]):g} s {when} best (correlation "
                f"{fit[best]:.3f}, {fit[0]:.3f} as they are); are both columns of the same time?"
            )
        slope = ad[0] / max(dd[0], 1e-12)
        if fit[0] > 0.8 and not 0.5 < slope < 2:
            found.append(f"accelerations are {slope:.2g} times the change of speed; is their unit right?")
        return found

    def _sideways(self) -> str:
        return f"{self.sideways_share:.1%} of the speed is sideways (median of {self.moving:,} frames above 2 m/s)"

    def _signs(self) -> str:
        return f"accelerations have the sign of the change of speed in {self.agreement:.0%} of {self.changing:,} frames"

    def __str__(self) -> str:
        return f"motion: {self._sideways()}; {self._signs()}"
