"""Benchmarks of the built-in world: simulation and drawing."""

from collections.abc import Callable
from functools import partial

from roadstill.bench.timing import in_turns, table_of
from roadstill.world.drive import drives_of, simulate
from roadstill.world.render import Renderer
from roadstill.world.scene import Scene

_SIZES_PX = ((256, 144, 24), (1920, 1080, 4))  # width, height, pictures of each drive


def bench_world(*, drives: int = 3, rounds: int = 3) -> str:
    """Simulating drives, and drawing their pictures on one core in the order of the logs.

    The baseline draws each picture by itself: street, houses and vehicles are built anew for it.
    """
    specs = drives_of("demo", drives, 0)
    runs = [simulate(spec) for spec in specs]
    frames = sum(len(run) for run in runs)
    works: dict[str, Callable[[], object]] = {"simulate": lambda: [simulate(spec) for spec in specs]}
    seconds = in_turns(works, rounds=rounds)
    tables = [table_of(f"{drives} drives, {frames} frames", seconds, frames, unit="frames")]
    for width_px, height_px, each in _SIZES_PX:
        renderer = Renderer(width_px, height_px)
        scenes = [scene for run in runs for scene in run[:each]]

        works = {
            "draw": partial(_draw, renderer, scenes),
            "each by itself": partial(_draw, renderer, scenes, forgets=True),
        }
        seconds = in_turns(works, rounds=rounds)
        renderer.close()
        tables.append(table_of(f"pictures of {width_px} x {height_px}", seconds, len(scenes), unit="pictures"))
    return "\n\n".join(tables)


def _draw(renderer: Renderer, scenes: list[Scene], *, forgets: bool = False) -> None:
    for scene in scenes:
        if forgets:
            renderer.forget()
        renderer.draw(scene)
