"""`Recipe`: what one experiment consists of."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from roadstill.agents import AgentConfig
from roadstill.agents.networks import require_code as require_network
from roadstill.data.indexing import IndexConfig
from roadstill.data.privacy import find_hook
from roadstill.data.sources import NAVSIM, find_source
from roadstill.denoisers.base import Sampling
from roadstill.distil.experts import ExpertTraining
from roadstill.errors import UserError
from roadstill.generator.config import FinetuneConfig, require_trackers
from roadstill.names import Settings
from roadstill.protocols import PROTOCOLS, ProtocolName
from roadstill.recipes.arms import MADE, Arm
from roadstill.recipes.worlds import Drives, World
from roadstill.runs import check_ranges, folder_name, later
from roadstill.schedules import read_schedule

FeatureNetwork = Literal["agent", "pixels", "dit"]


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    Attributes:
        name: name of the recipe, and of its run folder.
        arms: arms by a short name that serves as folder name.
        world: source of the frames if ``data`` is not given.
        data: folder of NAVSIM logs and sensors, or whatever ``source`` reads.
        source: reader of ``data``: "navsim" or "csv", whose frames are indexed; "cifar10" or "folder" (class folders),
            whose pictures are taken as they are; or the dotted path of your own, see `roadstill.data.sources`.
        source_settings: settings of the source, as the fields of `roadstill.sources.csv.config.CsvConfig`.
        group: pattern that finds what is not to be cut in class folders, see `roadstill.data.folders.prepare_folder`.
        index: rules by which frames count, and by which they are split.
        protocol: rule on who may look at which part, see `roadstill.protocols`.
        test_index: selection of the test part, if that has its own; dev is then what the index's preset holds back.
            The honest protocol on NAVSIM is ``index: {preset: navtrain}`` with ``test_index: {preset: navtest}``.
        image_px: side of the prepared pictures.
        hook: dotted path of a step that every full picture passes before it is cropped, see `roadstill.data.privacy`.
        hook_settings: settings of the hook; logs, if it takes some, are those of ``data``.
        max_per_class: most train / dev / test images of a class; all if not given.
        per_class: images per class of a small set (IPC).
        budgets: several numbers of images per class instead: every small arm is made at each, as ``<arm>@<number>``;
            fine-tunings are shared, and each budget is compared by itself.
        seeds: paired seeds: each draws or generates its own sets and trains its own agents.
        sampling: sampling of the generated arms that have none of their own.
        codec: a codec file, or a diffusers autoencoder (folder or hub name); the shipped one if not given.
        decoder: a second diffusers autoencoder that decodes what the first one encodes.
        base: a base generator, as ``roadstill/edm-cifar10``; the shipped one for driving if not given.
        pretrain: training of the base from scratch on the train part, instead.
        experts: training of the experts that some methods of distillation follow; their folder is the run's own.
        agent: agent of the small arms.
        full_agent: agent of the full arm, also the teacher of some arms and the agent whose forgetting is counted.
        others: further agents by name, each with tables of its own: the fields in which they differ from the two above
            (another network, soft labels from the teacher, augmentation).
        judged_on: "test", or "dev" for recipes that serve to choose: the test part is then not opened.
        looks: number of evaluations of each training on the part that its protocol watches, the last step included.
        features: features that selectors use: "agent" (the teacher's backbone), "pixels" (shrunk pictures)
            or "dit" (the base generator's middle block).
        baseline: the arm that verdicts compare with.
        cluster_by: unit that the interval resamples: "log" or "drive".
        drive: drives in a closed loop, if there are any.
        thesis: the thesis' figures by ``arm@images per class``, by arm for all images, and for the ``majority`` line;
            tables print them too.
    """

    name: str
    arms: dict[str, Arm]
    world: World = field(default_factory=World)
    data: str | None = None
    source: str = NAVSIM
    source_settings: Settings | None = later(None)
    group: str | None = None
    index: IndexConfig = field(default_factory=IndexConfig)
    protocol: ProtocolName = "honest"
    test_index: IndexConfig | None = None
    image_px: int = 128
    hook: str | None = None
    hook_settings: Settings | None = None
    max_per_class: int | None = None
    per_class: int = 10
    budgets: tuple[int, ...] = ()
    seeds: int = 3
    sampling: Sampling = field(default_factory=Sampling)
    codec: str | None = None
    decoder: str | None = None
    base: str | None = None
    pretrain: FinetuneConfig | None = None
    experts: ExpertTraining | None = later(None)
    agent: AgentConfig = field(default_factory=AgentConfig)
    full_agent: AgentConfig = field(default_factory=AgentConfig)
    others: dict[str, Settings] = field(default_factory=dict)
    judged_on: Literal["test", "dev"] = "test"
    looks: int = 4
    features: FeatureNetwork = "agent"
    baseline: str = "random"
    cluster_by: Literal["log", "drive"] = "log"
    thesis: dict[str, str] = field(default_factory=dict)
    drive: Drives | None = later(None)

    def __post_init__(self) -> None:
        folder_name(self.name, "recipe name")
        check_ranges(self)
        if (fewest := min([self.seeds, *(arm.seeds or self.seeds for arm in self.arms.values())])) < 3:
            raise UserError(f"seeds is {fewest}; a verdict needs at least 3, better 10 or more")
        if len(set(self.budgets)) < len(self.budgets):
            raise UserError(f"budgets is {list(self.budgets)}; each may stand once")
        if not self.arms:
            raise UserError("arms is empty; a comparison needs a baseline and an arm to compare with it")
        for name in self.arms:  # <arm>@<images per class> where a recipe has several budgets
            arm, at, budget = name.partition("@")
            folder_name(arm, "arm")
            if at:
                folder_name(budget, "budget of the arm")
        find_source(self.source)
        if self.test_index and self.source != NAVSIM:
            raise UserError(f"test_index is a selection of NAVSIM's; leave it out with source {self.source}")
        if self.hook_settings and self.hook is None:
            raise UserError("hook_settings are for a hook; name it with the field hook")
        if self.pretrain and (self.base or self.pretrain.network is None):
            raise UserError("pretrain makes the base: leave base out, and give pretrain a network")
        if self.judged_on == "dev" and PROTOCOLS[self.protocol].watched != "dev":
            raise UserError(f"protocol {self.protocol} has no dev part to judge on; take honest")
        looking = [name for name, arm in self.arms.items() if arm.refine and arm.refine.looks]
        if looking and (self.judged_on == "dev" or PROTOCOLS[self.protocol].watched != "dev"):
            raise UserError(f"arm {looking[0]!r}: refine.looks chooses on a dev part that judges nothing; set looks 0, "
                            "or judged_on test and protocol honest")  # fmt: skip
        for other in self.others:
            if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", other):
                raise UserError(f"others: {other!r} becomes a folder's name; take small letters, digits and hyphens")
            self.agent_of(other), self.agent_of(other, full=True)
        if any(self.agent_of(other).ego for other in (None, *self.others)):
            self._require_blind()
        if self.drive is not None:
            self._check_drive(self.drive)
        self._require_code()

    def _require_blind(self) -> None:
        """Adds an arm of agents that see the vehicle's status alone: as good as the others, pictures added nothing."""
        if made := [name for name, arm in self.arms.items() if arm.kind in MADE]:
            raise UserError(
                f"arm {made[0]!r}: generated pictures have no speed and command, which agents with ego look at; leave "
                "the arm or ego out"
            )
        if not any(arm.kind == "blind" for arm in self.arms.values()):
            blind = Arm(kind="blind", label="status alone, all training frames, no picture", seeds=3)
            object.__setattr__(self, "arms", {**self.arms, "blind": blind})

    def _check_drive(self, drive: Drives) -> None:
        if self.data is None and (drive.world.seed, drive.world.group) == (self.world.seed, self.world.group):
            raise UserError(
                f"drive.world.seed is {drive.world.seed}, the world that the agents learn from; take another"
            )
        if unknown := [name for name in drive.arms if name not in self.arms]:
            raise UserError(f"drive.arms names {unknown[0]!r}, which is no arm; choose from {', '.join(self.arms)}")
        if drive.arms and self.baseline not in drive.arms:
            raise UserError(f"drive.arms lacks the baseline {self.baseline!r}")
        if not 3 <= drive.seeds <= self.seeds:
            raise UserError(f"drive.seeds is {drive.seeds}; take from 3, which a verdict needs, to {self.seeds}, all "
                            "that there are")  # fmt: skip

    def _require_code(self) -> None:
        """Imports what is named by dotted path, so that a mistake is seen before any work is done.

        Raises:
            UserError: a name that is not trusted, or names nothing.
        """
        from roadstill.generator.assembly import find_criterion

        tunings = [self.pretrain, *(arm.finetune for arm in self.arms.values())]
        agents = [self.agent_of(other, full=full) for other in (None, *self.others) for full in (False, True)]
        wanted: list[tuple[Callable[[str], Any], str]] = [(find_hook, self.hook)] if self.hook else []
        wanted += [(find_criterion, path) for tuning in tunings if tuning for path in tuning.criteria]
        wanted += [(require_network, agent.network) for agent in agents]
        wanted += [(require_network, name) for arm in self.arms.values() if arm.refine for name in arm.refine.networks]
        for find, name in wanted:
            try:
                find(name)
            except UserError:
                raise
            except ValueError as error:
                raise UserError(str(error)) from None
        for tuning in filter(None, tunings):
            require_trackers(tuning)
            read_schedule(tuning.schedule, train_steps=tuning.steps)
        for sampling in (self.sampling, *(arm.sampling for arm in self.arms.values())):
            if sampling is not None and sampling.schedule is not None:
                read_schedule(sampling.schedule, train_steps=1)

    @property
    def pictures(self) -> str:
        """What the recipe's pictures are, in the words of tables."""
        if self.data is None and self.world.reserved:
            return f"synthetic pictures of the built-in world {self.world.seed}, reserved for confirmation"
        if self.data is None:
            return "synthetic pictures of the built-in world"
        return {NAVSIM: "genuine driving data", "cifar10": "CIFAR-10"}.get(self.source, self.data)

    def refiners(self, name: str) -> tuple[str, ...]:
        """The networks that an arm is refined or distilled with; none if it is neither."""
        refine, distil = self.arms[name].refine, self.arms[name].distil
        if refine is not None:
            return refine.all_networks(self.agent.network)
        return distil.networks(self.agent.network) if distil is not None else ()

    def agent_for(self, name: str, other: str | None = None) -> AgentConfig:
        """The agent of an arm, as it is or as one of ``others``."""
        arm = self.arms[name]
        agent = self.agent_of(other, full=arm.whole)
        if arm.kind != "blind":
            return agent
        return replace(agent, network="blind", weights=None, image_px=None, freeze=0, head_only=False, ego=True,
                       augment="none", normalise="network")  # fmt: skip

    def agent_of(self, other: str | None = None, *, full: bool = False) -> AgentConfig:
        """The agent of a small arm or of the full one, as it is or as one of ``others``.

        Raises:
            UserError: a field that agents do not have, or a value that it cannot have.
        """
        agent = self.full_agent if full else self.agent
        if other is None:
            return agent
        fields = self.others[other]
        if fields.get("weights") is not None:
            fields = fields | {"weights": Path(fields["weights"])}
        try:
            return replace(agent, **fields)
        except TypeError as error:
            raise UserError(f"others: {other}: {error}; it holds fields of an agent") from None
