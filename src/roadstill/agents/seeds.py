"""Agents of several seeds in parallel, each in a process of one thread.

This uses two cores best: stacking the seeds' weights and mapping over them (`torch.func.vmap`) took 1.5 to 2.2 times
as long per seed as one after the other (ConvNet-3 at 32 px, ConvNet-4 at 64 px, batches of 20, CPU).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from roadstill.agents.agent import Agent, open_agent
from roadstill.agents.config import AgentConfig
from roadstill.agents.features import FeatureCache
from roadstill.agents.training import train_agent
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.parallel import Workers
from roadstill.runs.progress import track


@dataclass
class Trainer:
    """State of each process: the set and the configuration.

    Attributes:
        images: training set of the agents.
        config: network and optimiser.
        out: folder of the agents' folders ``seed<k>``.
        dev: dev part as in `train_agent`.
    """

    images: ImageSet
    config: AgentConfig
    out: Path
    dev: ImageSet | None = None

    @cached_property
    def cache(self) -> FeatureCache:
        """Output of the frozen stages, for all seeds of this process."""
        return FeatureCache()

    def train(self, seed: int) -> None:
        """Trains and saves one agent."""
        agent = train_agent(self.images, config=self.config, seed=seed, cache=self.cache, dev=self.dev)
        agent.save(self.out / f"seed{seed}")


def train_agents(
    images: ImageSet,
    *,
    config: AgentConfig,
    seeds: Sequence[int],
    out: Path,
    dev: ImageSet | None = None,
    workers: int = 2,
) -> list[Agent]:
    """Trains one agent per seed, several at a time, into folders ``seed<k>``.

    Starting a process takes some seconds; if training takes less, use one worker.

    Args:
        images: training set of the agents.
        config: network and optimiser.
        seeds: seeds of the agents, all different.
        out: folder to write to.
        dev: dev part as in `train_agent`.
        workers: processes of one thread; 1 trains in this one, with all its threads.

    Raises:
        UserError: a repeated seed, or as in `train_agent`.
    """
    if len(set(seeds)) < len(seeds):
        raise UserError(f"seeds {list(seeds)} repeat a seed; each agent needs its own")
    with Workers(workers, Trainer(images, config, out, dev)) as processes:
        for _ in track(processes.each("train", [(seed,) for seed in seeds]), "agents", total=len(seeds)):
            pass
    cache = FeatureCache()
    return [open_agent(out / f"seed{seed}", cache=cache) for seed in seeds]
