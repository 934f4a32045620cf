"""The report's figures of arms: every run, differences, classes, images per class, reliability."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from roadstill.report.drawing import INK, SERIES, colour_of, rows_named, sketched

_PANELS = 3  # panels of reliability in a row


def seed_dots(arms: Sequence[Mapping[str, Any]], chance: float, ids: str = "dots") -> str:
    """Balanced accuracy of every run (a dot each), mean and standard deviation per arm, and the line of no skill."""
    with sketched(0.9 + 0.42 * len(arms)) as (sketch, (axes,)):
        for row, arm in enumerate(arms):
            score = arm["balanced_accuracy"]
            values = 100 * np.asarray(score.get("values") or [score["mean"]], float)
            spread = 0.14 * np.cos(np.arange(len(values)) * 2.4)  # keeps equal values apart
            colour = SERIES[row % len(SERIES)]
            (dots,) = axes.plot(values, row + spread, "o", ms=3.4, alpha=0.55, mew=0, color=colour)
            seeds = arm.get("seeds") or []
            named = [f", seed {seed}" for seed in seeds] if len(seeds) == len(values) else [""] * len(values)
            sketch.tell(
                dots, [f"{arm['label']}{seed}: {value:.1f} %" for seed, value in zip(named, values, strict=True)]
            )
            mean, sd = 100 * score["mean"], 100 * (score.get("sd") or 0.0)
            bar = axes.errorbar(
                mean, row, xerr=_within(mean, sd), fmt="d", ms=5.5, color=INK, elinewidth=1.2, capsize=3
            )
            sketch.tell(bar[0], [f"{arm['label']}: mean {mean:.1f} ± {sd:.1f} %"])
        axes.axvline(100 * chance, color=INK, lw=1, ls="--")
        axes.text(100 * chance, -0.5, " always one class", va="bottom", ha="left", fontsize=7.5)
        rows_named(axes, [arm["label"] for arm in arms])
        axes.set_xlabel("balanced accuracy, %")
        means = "; ".join(f"{arm['label']} {100 * arm['balanced_accuracy']['mean']:.1f} %" for arm in arms)
        return sketch.svg(ids, f"Balanced accuracy of every run. Means: {means}. No skill: {100 * chance:.0f} %.")


def _within(mean: float, sd: float) -> NDArray[np.float64]:
    """Lengths ``[2, 1]`` of a bar of one standard deviation to either side, in percent: no share leaves 0 to 100."""
    return np.array([[min(sd, mean)], [min(sd, 100 - mean)]]).clip(0)


def differences(verdicts: Sequence[Mapping[str, Any]], labels: Mapping[str, str], ids: str = "differences") -> str:
    """Difference of each arm to its baseline with the interval; an interval over zero cannot be told apart."""
    named = [labels.get(verdict["arm"], verdict["arm"]) for verdict in verdicts]
    with sketched(0.9 + 0.42 * len(verdicts)) as (sketch, (axes,)):
        said = []
        for row, (verdict, label) in enumerate(zip(verdicts, named, strict=True)):
            value, low, high = (100 * verdict[name] for name in ("difference", "low", "high"))
            said.append(f"{label} {value:+.1f} points, {low:+.1f} to {high:+.1f}")
            axes.plot([low, high], [row, row], color=SERIES[0], lw=3, solid_capstyle="round")
            (mark,) = axes.plot([value], [row], "d", ms=6, color=INK)
            sketch.tell(mark, [f"{said[-1]}: {verdict.get('word', '')}".rstrip(": ")])
        axes.axvline(0, color=INK, lw=1, ls="--")
        axes.locator_params(axis="x", nbins=6)  # ticks like -12.5 run into each other at more
        rows_named(axes, named)
        baselines = {labels.get(verdict["baseline"], verdict["baseline"]) for verdict in verdicts}
        axes.set_xlabel(f"points above {' or '.join(sorted(baselines))}, with 95 % interval"[:70])
        return sketch.svg(ids, f"Difference to the baseline with interval: {'; '.join(said)}.")


def class_bars(arms: Sequence[Mapping[str, Any]], class_names: Sequence[str], ids: str = "classes") -> str:
    """Share of each class that is recognised, one group of bars per arm, in the given order of classes."""
    with sketched(1.1 + 0.5 * len(arms)) as (sketch, (axes,)):
        thick, told = 0.8 / len(class_names), [f"{arm['label']}: " for arm in arms]
        for place, name in enumerate(class_names):
            shown, said = name.replace("_", " "), []
            found = [arm["class_accuracy"].get(name, {}) for arm in arms]
            rows = np.arange(len(arms)) + (place - (len(class_names) - 1) / 2) * thick
            means = [100 * score.get("mean", 0.0) for score in found]
            sds = [100 * (score.get("sd") or 0.0) for score in found]
            bars = axes.barh(
                rows, means, 0.92 * thick, color=colour_of(place), label=shown,
                xerr=np.hstack([_within(mean, sd) for mean, sd in zip(means, sds, strict=True)]),
                error_kw={"ecolor": INK, "elinewidth": 0.9, "capsize": 2},
            )  # fmt: skip
            for arm, bar, mean, sd in zip(arms, bars, means, sds, strict=True):
                sketch.tell(bar, [f"{arm['label']}, {shown}: {mean:.1f} ± {sd:.1f} %"])
                said.append(f"{shown} {mean:.1f} %")
            told = [f"{before}{', ' if place else ''}{text}" for before, text in zip(told, said, strict=True)]
        axes.set_xlim(0, 100)
        rows_named(axes, [arm["label"] for arm in arms])
        axes.set_xlabel("recognised images of the class, %")
        sketch.figure.legend(loc="outside upper right", ncols=len(class_names))
        return sketch.svg(ids, f"Accuracy per class. {'; '.join(told)}.")


def learning_curves(
    arms: Mapping[str, Sequence[tuple[int, Mapping[str, Any]]]],
    bounds: Mapping[str, float],
    chance: float,
    ids: str = "learning",
) -> str:
    """Balanced accuracy over images per class, a line per arm, and a level for every arm of all images.

    Args:
        arms: images per class and score at each, by label.
        bounds: mean balanced accuracy by label.
        chance: balanced accuracy of always answering one class.
        ids: beginning of the ids.
    """
    counts = sorted({count for points in arms.values() for count, _ in points})
    with sketched(3.1 + 0.16 * ((len(arms) + len(bounds) + 1) // 2)) as (sketch, (axes,)):
        said = []
        for place, (label, points) in enumerate(arms.items()):
            means, sds = ([100 * (score.get(name) or 0.0) for _, score in points] for name in ("mean", "sd"))
            line = axes.errorbar(
                [count for count, _ in points], means, fmt="o", ms=4, label=label, elinewidth=0.9, capsize=2,
                yerr=np.hstack([_within(mean, sd) for mean, sd in zip(means, sds, strict=True)]),
                color=SERIES[place % len(SERIES)], ls=("-", "--", ":")[place // len(SERIES) % 3],
            )  # fmt: skip
            told = [
                f"{count} images a class: {mean:.1f} ± {sd:.1f} %"
                for (count, _), mean, sd in zip(points, means, sds, strict=True)
            ]
            sketch.tell(line[0], [f"{label}, {each}" for each in told])
            said.append(f"{label}: {', '.join(told)}")
        for label, mean in bounds.items():
            axes.axhline(100 * mean, color=INK, lw=1, ls="--", label=label)
            said.append(f"{label}: {100 * mean:.1f} %")
        axes.axhline(100 * chance, color=INK, lw=1, ls=":", label="always one class")
        axes.set_xscale("log")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("images per class")
        axes.set_ylabel("balanced accuracy, %")
        sketch.figure.legend(loc="outside lower center", ncols=2)
        return sketch.svg(ids, f"Balanced accuracy over images per class. {'; '.join(said)}.")


def reliability(arms: Sequence[Mapping[str, Any]], ids: str = "reliability") -> str:
    """How often answers are right (height) against how sure they are (breadth), a panel per arm; larger: more answers.

    On the diagonal an agent is as often right as it is sure.
    """
    rows = -(-len(arms) // _PANELS)
    with sketched(0.3 + 1.6 * rows, rows, _PANELS) as (sketch, panels):
        said = []
        for axes, arm in zip(panels, arms, strict=False):
            bins, total = arm["reliability"], sum(each["answers"] for each in arm["reliability"]) or 1
            axes.plot([0, 100], [0, 100], color=INK, lw=0.8, ls="--")
            for each in bins:
                sure, right = 100 * each["confidence"], 100 * each["accuracy"]
                size = 2.5 + 7 * (each["answers"] / total) ** 0.5
                (dot,) = axes.plot([sure], [right], "o", ms=size, mew=0, alpha=0.8, color=SERIES[0], clip_on=False)
                sketch.tell(dot, [f"{arm['label']}: {sure:.0f} % sure, {right:.0f} % right, {each['answers']} answers"])
            _square(axes, arm["label"])
            said.append(f"{arm['label']} off by {100 * arm['ece']['mean']:.1f} points on average")
        for axes in panels[len(arms) :]:
            axes.set_visible(False)
        sketch.figure.supxlabel("sure of the answer, %", fontsize=8.5)
        sketch.figure.supylabel("right, %", fontsize=8.5)
        return sketch.svg(ids, f"Share of right answers against confidence: {'; '.join(said)}.")


def _square(axes: Axes, title: str) -> None:
    axes.set_title("\n".join(textwrap.wrap(title, 22)[:2]), fontsize=7.5)
    axes.set(xlim=(-3, 103), ylim=(-3, 103), xticks=(0, 50, 100), yticks=(0, 50, 100), aspect="equal")
