"""Many scenarios driven by many agents, side by side; what is done is on disk and is not driven again."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from roadstill.agents import open_agent
from roadstill.driving.closed_loop import Outcome, Scenario, drive_scenario
from roadstill.driving.deciding import GUARDS, Decide, decided_by
from roadstill.driving.plan import Driver
from roadstill.errors import UserError
from roadstill.parallel import Workers
from roadstill.runs import Record, digest_file, digest_of, plain, read_json, typed, write_json
from roadstill.runs.progress import track
from roadstill.world.logs import read_world

_TOGETHER = 5  # scenarios of a job: a call that is stopped loses so many
_PX = 128  # side of pictures for controls, which do not look at them


@dataclass(frozen=True)
class Entrant:
    """Who drives.

    Attributes:
        arm: name of its arm, which for a control is one of `GUARDS`.
        seed: seed of the agent.
        agent: folder of the agent, made by `roadstill train`; None for a control.

    Raises:
        UserError: no folder, and a name that is no control's.
    """

    arm: str
    seed: int = 0
    agent: Path | None = None

    def __post_init__(self) -> None:
        if self.agent is None and self.arm not in GUARDS:
            raise UserError(f"{self.arm!r} is no control; give an agent, or one of {', '.join(GUARDS)}")


class _Part(Record, kw_only=True, frozen=True):
    """``<arm>/seed<k>/part<n>.json``."""

    key: str
    outcomes: list[Outcome]


def drive_all(
    entrants: Sequence[Entrant], scenarios: Sequence[Scenario], out: Path, *, driver: Driver, workers: int = 2,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[int, list[Outcome]]]:  # fmt: skip
    """Drives all scenarios with all entrants.

    Args:
        entrants: who drives.
        scenarios: what is driven.
        out: folder of the outcomes; what lies there from the same agents, scenarios and driver is taken as it is.
        driver: how decisions are carried out.
        workers: processes.
        say: takes one line of progress.

    Returns:
        Outcomes by arm and seed, in the order of the scenarios.

    Raises:
        UserError: no scenario, no agent, or a damaged file of outcomes.
    """
    if not scenarios:
        raise UserError("there is no scenario to drive; take a world with more drives")
    parts = range(-(-len(scenarios) // _TOGETHER))
    wheel = _Wheel(list(scenarios), {entrant: _digest_of(entrant) for entrant in entrants}, driver, out)
    jobs = [(entrant, part) for entrant in entrants for part in parts if wheel.read(entrant, part) is None]
    with Workers(min(workers, max(len(jobs), 1)), wheel) as pool:
        for entrant, _ in track(pool.each("drive", jobs), "drives of agents", total=len(jobs)):
            say(f"{entrant.arm}, seed {entrant.seed}")
    found: dict[str, dict[int, list[Outcome]]] = {}
    for entrant in entrants:
        outcomes = [each for part in parts for each in wheel.read(entrant, part) or []]
        found.setdefault(entrant.arm, {})[entrant.seed] = outcomes
    return found


def _digest_of(entrant: Entrant) -> str:
    if entrant.agent is None:
        return entrant.arm
    return digest_of([digest_file(entrant.agent / name) for name in ("agent.json", "network.safetensors")])


def decide_of(entrant: Entrant, driver: Driver) -> tuple[Decide, int]:
    """The decisions of an entrant, and the side of the pictures that it sees.

    Raises:
        UserError: as `open_agent` and `decided_by`.
    """
    if entrant.agent is None:
        return GUARDS[entrant.arm], _PX
    agent = open_agent(entrant.agent)
    return decided_by(agent, driver), agent.size_px


@dataclass
class _Wheel:
    """What each process holds; its last agent stays open."""

    scenarios: list[Scenario]
    digests: dict[Entrant, str]
    driver: Driver
    out: Path
    _at: tuple[Entrant, tuple[Decide, int]] | None = field(default=None, repr=False)

    def drive(self, entrant: Entrant, part: int) -> None:
        """Drives the scenarios of one part."""
        if self._at is None or self._at[0] != entrant:
            self._at = (entrant, decide_of(entrant, self.driver))
        decide, size_px = self._at[1]
        outcomes = [drive_scenario(each, decide, driver=self.driver, size_px=size_px) for each in self._of(part)]
        path = self._path(entrant, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"key": self._key(entrant, part), "outcomes": [asdict(each) for each in outcomes]})

    def read(self, entrant: Entrant, part: int) -> list[Outcome] | None:
        """The outcomes of a part, if it was driven."""
        path = self._path(entrant, part)
        if not path.is_file():
            return None
        found = typed(read_json(path), _Part, str(path), "remove the file and drive again")
        return found.outcomes if found.key == self._key(entrant, part) else None

    def _of(self, part: int) -> list[Scenario]:
        return self.scenarios[part * _TOGETHER : (part + 1) * _TOGETHER]

    def _path(self, entrant: Entrant, part: int) -> Path:
        return self.out / entrant.arm / f"seed{entrant.seed}" / f"part{part}.json"

    def _key(self, entrant: Entrant, part: int) -> str:
        what = [[plain(read_world(each.world)), each.drive.index, each.number, each.seconds] for each in self._of(part)]
        return digest_of([what, plain(self.driver), self.digests[entrant]])
