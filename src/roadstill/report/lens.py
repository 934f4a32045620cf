"""What the report looks at pictures with: real frames that made ones resemble, and the scores of a teacher."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadstill.agents import open_agent
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.report.captions import Tile, class_of, lines_of, motion_of, picture
from roadstill.report.nearest import Neighbour, RealFrames

_OF_FRAMES = {"motion", "cause", "command", "light", "weather", "town", "location", "log", "frame"}
Scores = Callable[[ImageSet, Sequence[int]], NDArray[np.float32]]
"""Probabilities ``[n]`` that a teacher gives to the class of each of some pictures."""


@dataclass(frozen=True)
class Lens:
    """What pictures are looked at with.

    Attributes:
        real: frames of the training part; None if there are none.
        scores: scores of a teacher; None without one.
    """

    real: RealFrames | None = None
    scores: Scores | None = None


def training_part(run: Path) -> RealFrames | None:
    """The real frames that made pictures are held against."""
    folder = run / "sets" / "train"
    images = open_imageset(folder) if (folder / "set.json").is_file() else None
    return RealFrames(images) if images is not None and len(images) else None


def teacher_of(run: Path) -> Scores | None:
    """The scores of the run's teacher, if it has one that looks at pictures alone."""
    if not (run / "teacher" / "agent.json").is_file():
        return None
    agent = open_agent(run / "teacher")
    if agent.config.ego:
        return None

    def scores(images: ImageSet, rows: Sequence[int]) -> NDArray[np.float32]:
        if agent.class_names != images.class_names:
            return np.full(len(rows), np.nan, np.float32)
        return agent.predict(images.pixels(rows))[np.arange(len(rows)), images.labels[list(rows)]]

    return scores


def tiles_of(images: ImageSet, rows: Sequence[int], title: str, lens: Lens) -> list[Tile]:
    """Some pictures of a set with their captions, made ones beside the real frame that they look most like."""
    near: dict[int, Neighbour] = {}
    if lens.real is not None:
        made = [row for row in rows if not lens.real.is_frame(images, row)]
        near = dict(zip(made, lens.real.of(images, made), strict=True))
    scores = lens.scores(images, rows) if lens.scores is not None and rows else np.full(len(rows), np.nan)
    return [
        _tile(
            images, row, title, float(score), _real(lens.real.images, near[row]) if lens.real and row in near else None
        )
        for row, score in zip(rows, scores, strict=True)
    ]


def _tile(images: ImageSet, row: int, title: str, score: float, real: Tile | None) -> Tile:
    guidance = images.facts[row].get("guidance")
    lines, said = [("label", class_of(images, row))], [f"guidance {guidance:g}"] if isinstance(guidance, float) else []
    if np.isfinite(score):
        lines.append(("teacher’s score", f"{score:.2f}"))
        said.append(f"teacher {score:.2f}")
    # A picture made of a frame may hold that frame's facts, which are not its own.
    lines += [line for line in lines_of(images.facts[row]) if real is None or line[0] not in _OF_FRAMES]
    motion = motion_of(images.facts[row]) if real is None else ""
    said = [motion, *said] if motion else said
    uri, size_px = picture(images, row)
    return Tile(uri, size_px, ", ".join([title, class_of(images, row), *said]), ", ".join(said), tuple(lines), real)


def _real(images: ImageSet, found: Neighbour) -> Tile:
    """The real frame beside a made picture."""
    uri, size_px = picture(images, found.row)
    distance = f"{found.distance:.2f}" + (", very near" if found.is_close else "")
    lines = [("label", class_of(images, found.row)), ("distance", distance), *lines_of(images.facts[found.row])]
    alt = f"nearest real frame, {class_of(images, found.row)}, distance {distance}"
    return Tile(uri, size_px, alt, f"real, {distance}", tuple(lines))
