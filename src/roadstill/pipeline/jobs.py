"""Jobs of any stage in shared worker processes, each of which holds a road of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch

from roadstill.parallel import Workers
from roadstill.pipeline.road import Road, silent
from roadstill.runs.progress import track

Job: TypeAlias = tuple[Any, ...]
"""A function ``(road, ...) -> None`` of a module, its further arguments, and the stage that it finishes."""


@dataclass
class Jobs:
    """What each process holds."""

    road: Road

    def do(self, work: Callable[..., None], *job: Any) -> None:
        """One job; the caches of the process's road serve them all."""
        *what, stage = job
        stage.begin()
        work(self.road, *what)
        stage.finish()


def workers_of(road: Road) -> Workers:
    """Processes for the jobs of a road; an accelerator serves one process best."""
    count = 1 if torch.accelerator.is_available() else road.workers
    return Workers(count, Jobs(replace(road, say=silent)))


def do_all(road: Road, workers: Workers, jobs: Sequence[Job]) -> None:
    """Runs the jobs, several at a time, and reports each one's stage when it is done."""
    for *_, stage in track(workers.each("do", jobs), "jobs", total=len(jobs)):
        road.say(stage.folder.name)
