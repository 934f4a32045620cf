"""The report's figures of what goes before the arms: motion of the frames, noise schedules, fine-tunings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from roadstill.frames.filters import ACCEL_EDGES_MPS2, SPEED_EDGES_MPS
from roadstill.report.drawing import BRAKE, INK, OTHER, SERIES, sketched

_TOLD = 25  # points of a curve that tell their value


def motion_heatmap(
    counts: NDArray[np.int64], min_abs_accel_mps2: float, min_speed_mps: float, *, names_areas: bool = True
) -> str:
    """Frames by speed and acceleration, log colours, with the two areas that the filters keep (thesis Fig. 4.2).

    Args:
        counts: frames per cell ``[len(SPEED_EDGES_MPS) - 1, len(ACCEL_EDGES_MPS2) - 1]``.
        min_abs_accel_mps2: weakest acceleration that is kept.
        min_speed_mps: lowest speed that is kept.
        names_areas: whether the area below zero is the class *brake* and the one above it *not brake*.
    """
    with sketched(3.3) as (sketch, (axes,)):
        left, right, bottom, top = SPEED_EDGES_MPS[0], SPEED_EDGES_MPS[-1], ACCEL_EDGES_MPS2[0], ACCEL_EDGES_MPS2[-1]
        shown = np.ma.masked_equal(counts.T, 0)
        picture = axes.imshow(
            shown, extent=(left, right, bottom, top), origin="lower", aspect="auto", interpolation="nearest",
            cmap=colormaps["viridis"], norm=LogNorm(1, max(2, int(counts.max()))),
        )  # fmt: skip
        width = right - min_speed_mps - 0.1
        for low, high, colour in ((bottom, -min_abs_accel_mps2, BRAKE), (min_abs_accel_mps2, top, OTHER)):
            box = (min_speed_mps, low + 0.05), width, high - low - 0.1
            axes.add_patch(Rectangle(*box, fill=False, ec=colour, lw=2))
        below, above = ("kept: brake", "kept: not brake") if names_areas else ("kept", "kept")
        axes.text(right - 0.5, bottom + 0.3, below, ha="right", va="bottom", color=BRAKE, weight="bold")
        axes.text(right - 0.5, top - 0.3, above, ha="right", va="top", color=OTHER, weight="bold")
        axes.set_xlabel("speed, m/s")
        axes.set_ylabel("longitudinal acceleration, m/s²")
        bar = sketch.figure.colorbar(picture, ax=axes, pad=0.02, format="%d")
        bar.ax.minorticks_off()
        bar.set_label("frames in the cell (log)")
        bar.outline.set_visible(False)
        alt = (
            f"Heatmap of {int(counts.sum())} frames by speed and acceleration before any filter. Boxes mark what the "
            f"filters keep: at least {min_speed_mps:g} m/s and at least {min_abs_accel_mps2:g} m/s² either way."
        )
        return sketch.svg("heatmap", alt)


def schedule_curves(betas: Mapping[str, NDArray[np.float64]]) -> tuple[str, str]:
    """Noise schedules: beta over t (thesis Fig. 3.4), and the signal-to-noise ratio that follows from it."""
    with sketched(2.9) as (sketch, (axes,)), sketched(2.9) as (second, (below,)):
        colours = colormaps["plasma"](np.linspace(0.28, 0.82, max(1, len(betas) - 1)))
        for place, (label, beta) in enumerate(betas.items()):
            look: dict[str, Any] = {"color": INK, "ls": "--"} if place == 0 else {"color": colours[place - 1]}
            signal = np.cumprod(1 - beta)
            every = slice(None, None, 4)
            steps = np.arange(len(beta))[every]
            axes.plot(steps, beta[every], label=label, **look)
            below.plot(steps, 10 * np.log10(signal / (1 - signal))[every], label=label, **look)
        axes.set_ylabel("noise added in one step, beta")
        below.set_ylabel("signal to noise, dB")
        below.set_ylim(-30, 40)
        for each in (axes, below):
            each.set_xlabel("step t")
            each.legend(ncols=2, loc="upper left" if each is axes else "upper right")
        names = ", ".join(betas)
        return (
            sketch.svg("betas", f"Beta over t = 0 to 999 for {names}: each spoon curve joins the linear one late."),
            second.svg("snr", f"Signal-to-noise ratio over t for {names}: spoon-cosine keeps more signal early on."),
        )


Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def metric_curves(name: str, what: str, runs: Mapping[str, Curve], order: Sequence[str]) -> str:
    """One metric over optimiser steps, a line per run: label -> (steps, values); ``order`` fixes each run's colour."""
    with sketched(2.7) as (sketch, (axes,)):
        for label, (steps, values) in runs.items():
            marker = "o" if len(steps) < 3 else ""
            colour = SERIES[order.index(label) % len(SERIES)]
            axes.plot(steps, values, marker=marker, ms=3, label=label, color=colour)
            some = slice(None, None, -(-len(steps) // _TOLD) or 1)
            (marks,) = axes.plot(steps[some], values[some], "o", ms=7, alpha=0, color=colour)  # unseen, to point at
            points = zip(steps[some], values[some], strict=True)
            sketch.tell(marks, [f"{label}, step {step:,.0f}: {value:.4g}" for step, value in points])
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(what)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if len(runs) <= 8:
            axes.legend(loc="upper right")
        ends = "; ".join(f"{label} ends at {values[-1]:.3g}" for label, (_, values) in runs.items())
        return sketch.svg(name, f"{what} over optimiser steps: {ends}.")
