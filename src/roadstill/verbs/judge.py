"""Verbs that judge: train, evaluate, compare."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from roadstill.agents import AgentConfig
from roadstill.errors import UserError
from roadstill.runs import holding, require_own, scratch_folder, write_json
from roadstill.verbs.given import as_set, require_figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from roadstill.evaluation import Comparison
    from roadstill.imagesets import ImageSet

_log = logging.getLogger(__name__)


@holding()
def train(
    images: Path,
    out: Path,
    *,
    agent: AgentConfig = AgentConfig(),  # noqa: B008  frozen; the command line shows its fields
    seed: int = 0,
    dev: Path | None = None,
    looks: int = 10,
) -> str:
    """Trains a driving agent on an image set.

    Args:
        images: image set to train on.
        out: folder to make.
        agent: network and optimiser; or a protocol of the literature by name, such as dc, dsa or author (docs/
            evaluation.md), or head, which trains the last layer alone.
        seed: seed of the initial weights and the order of the images.
        dev: image set to evaluate on during training; the agent with the best result is written to the subfolder
            chosen, beside the agent of the last step.
        looks: number of evaluations on dev.
    """
    from roadstill.agents import train_agent
    from roadstill.imagesets import open_imageset

    require_own(out, "agent.json")
    watched = None if dev is None else open_imageset(dev)
    pictures = _told(open_imageset(images))
    made = train_agent(pictures, config=agent, seed=seed, dev=watched, looks=looks)
    made.save(out)
    line = f"{out}: {agent.network} after {agent.num_steps(len(pictures))} steps on {images}"
    return line if made.chosen is None else f"{line}; {out / 'chosen'}: after {made.chosen.about['chosen_step']}"


@holding()
def evaluate(
    agent: Path,
    images: Path,
    *,
    out: Path | None = None,
    arm: str | None = None,
    dev: Path | None = None,
    ledger: Path | None = None,
    allow_leak: bool = False,
) -> str:
    """Evaluates a trained agent on an image set.

    Args:
        agent: folder made by train.
        images: image set to evaluate on; a test part is opened through the ledger.
        out: folder to write the run to, for compare.
        arm: name of the arm in compare; the agent folder's name if not given.
        dev: dev part, on which thresholds for a given share of false alarms are chosen.
        ledger: file that records every opening of a test part; test_ledger.jsonl beside the set if not given.
        allow_leak: whether an agent whose training set shares a log, a time of a drive, a frame or a picture with the
            test part is evaluated all the same; the run and the report say so.
    """
    from roadstill.agents import open_agent
    from roadstill.evaluation import (
        LEDGER,
        RECORDS,
        arm_name,
        check_fits,
        note_outcome,
        open_dev,
        open_test,
        run_of,
        trained_on,
    )
    from roadstill.evaluation import evaluate as measure
    from roadstill.imagesets import open_imageset

    name = arm_name(agent.resolve().name if arm is None else arm)
    if out:
        require_own(out, "run.json")
    trained, pictures = open_agent(agent), _told(open_imageset(images))
    book = ledger or images.parent / LEDGER
    is_test = pictures.about.get("split") == "test"
    check_fits(trained, pictures)
    calm = None if dev is None else measure(trained, open_dev(dev))
    if is_test:
        known = {str(agent): seen} if (seen := trained_on(trained)) else {}
        pictures = open_test(
            pictures, ledger=book, config=trained.config, what=f"evaluate {agent}", trained_on=known,
            allow_leak=allow_leak,
        )  # fmt: skip
    found = measure(trained, pictures)
    if is_test:
        note_outcome(pictures, ledger=book, outcome={"balanced_accuracy": found.balanced_accuracy})
    if out:
        run = run_of(name, int(trained.about["seed"]), found, pictures, dev=calm)
        run.save(out, book=out.absolute().parent / RECORDS)
    classes = ", ".join(f"{name} {100 * share:.1f}" for name, share in found.class_accuracy.items())
    if (recall := found.brake_recall) is not None and (false := found.brake_false_alarm_rate) is not None:
        classes += f", brake recall {100 * recall:.1f} with {100 * false:.1f} false"
    if found.errors:
        classes += f", mean absolute error {found.errors['mae']:.2f} {found.unit} (RMS {found.errors['rmse']:.2f})"
    return (
        f"balanced accuracy {100 * found.balanced_accuracy:.1f} %, accuracy {100 * found.accuracy:.1f} % "
        f"(always {found.majority_class}: {100 * found.majority_accuracy:.1f} %), {classes}, "
        f"AUROC {found.auroc:.3f}, {found.n} images{_part(pictures)}" + (f"; {found.caveat}" if found.caveat else "")
    )


@holding()
def compare(
    what: list[Path],
    *,
    baseline: str | None = None,
    test: Path | None = None,
    dev: Path | None = None,
    agent: AgentConfig = AgentConfig(),  # noqa: B008  frozen; the command line shows its fields
    networks: list[str] | None = None,
    seeds: int = 20,
    bounds: list[str] | None = None,
    cluster_by: Literal["log", "drive"] = "log",
    out: Path | None = None,
    workers: int = 2,
    self_test: bool = False,
    allow_leak: bool = False,
) -> str:
    """Compares small sets with a baseline over paired seeds, and states the verdict in words.

    Args:
        what: folder of runs written by evaluate, at any depth; or image sets or folders of class folders, on which
            agents are then trained.
        baseline: arm that the others are compared with; if not given, random, or the first of the image sets.
        test: image set that the agents are evaluated on, if image sets are compared; opened through the ledger.
        dev: image set on which thresholds for a given share of false alarms are chosen.
        agent: network and optimiser of the agents, if image sets are compared; or a protocol, as for train.
        networks: names of networks that agents are trained with besides the agent's own, if image sets are compared;
            the result is a table of sets and networks, with a star at the network that a set was made with.
        seeds: number of agents per image set.
        bounds: names of arms with another budget, which get no verdict.
        cluster_by: unit that the bootstrap draws: all frames of a log, or of a drive, together.
        out: file to write the whole comparison to, as JSON.
        workers: number of processes that train agents, if image sets are compared.
        self_test: check of the comparison itself, on 200 pairs of simulated arms that are equal and 50 that are not.
        allow_leak: whether image sets that share a log, a time of a drive, a frame or a picture with the test part are
            compared all the same; the comparison says so.
    """
    from roadstill.evaluation import check_runs, compare_networks, list_runs, open_runs, prove, refiners_of
    from roadstill.evaluation import compare as judge
    from roadstill.evaluation.networks import other_network
    from roadstill.imagesets import open_imageset
    from roadstill.runs import require_folder

    if self_test:
        proof = prove()
        if not proof.passed:
            raise RuntimeError(str(proof))
        return str(proof)
    if out:
        require_figures(out, {"arms", "networks"}, "comparison")
    if not what:
        raise UserError(
            "name a folder of runs (made by evaluate --out), or two image sets and --test; see roadstill compare --help"
        )
    if test is not None or len(what) > 1 or (what[0] / "set.json").is_file():
        if test is None:
            raise UserError(
                "image sets need --test, the test part (made by prepare) that their agents are evaluated on"
            )
        with scratch_folder() as folder:
            sets = [as_set(path, test, folder) for path in what]
            kinds = {name: other_network(agent, name) for name in dict.fromkeys([agent.network, *(networks or [])])}
            found = compare_networks(
                sets, test, kinds, dev=dev, seeds=seeds, baseline=baseline, bounds=bounds or [],
                cluster_by=cluster_by, workers=workers, allow_leak=allow_leak,
            )  # fmt: skip
            refiners = {path.name: its for path in sets if (its := refiners_of(open_imageset(path)))}
        if networks:
            if out:
                write_json(out, {"networks": {name: comparison.as_dict() for name, comparison in found.items()}})
            return _across(found, refiners)
        comparison = found[agent.network]
    else:
        arms = open_runs(require_folder(what[0], "a folder of runs, made by evaluate --out"))
        baseline = baseline or "random"
        if baseline not in arms:
            raise UserError(f"{what[0]} has no arm {baseline!r}; it has {', '.join(sorted(arms))}")
        comparison = judge(arms, baseline=baseline, bounds=bounds or [], cluster_by=cluster_by)
        comparison.caveats.extend(check_runs(what[0], list_runs(what[0])))
    if out:
        comparison.save(out)
    return table(comparison)


def table(comparison: object) -> str:
    """The comparison as lines of text: one per arm, then the verdicts."""
    from roadstill.evaluation import Comparison

    assert isinstance(comparison, Comparison)
    width = max(len(name) for name in comparison.arms)
    rates = list(next(iter(comparison.arms.values())).miss_rate)
    heads = "".join(f"   missed at {100 * float(rate):g} % alarms" for rate in rates)
    budgets = all(arm.budget for arm in comparison.arms.values())
    heads += "   images      kB   steps" if budgets else ""
    lines = [f"{'arm':<{width}}  balanced accuracy   AUROC   seeds{heads}"]
    for name, arm in comparison.arms.items():
        figure = arm.balanced_accuracy
        missed = "".join(f"   {100 * arm.miss_rate[rate].mean:>20.1f} %" for rate in rates if rate in arm.miss_rate)
        given = f"   {arm.budget.images:6,} {arm.budget.bytes / 1000:7,.0f} {arm.budget.steps:7,}" if arm.budget else ""
        lines.append(
            f"{name:<{width}}  {100 * figure.mean:5.1f} +- {100 * figure.sd:4.1f} %     {100 * arm.auroc.mean:5.1f}"
            f"   {len(arm.seeds):5}{missed}{given}"
        )
    majority = f"always {comparison.majority_class}: accuracy {100 * comparison.majority_accuracy:.1f} %"
    drawn = f"{comparison.num_clusters} {comparison.cluster_by}s"
    if comparison.num_clusters == comparison.num_images:
        drawn = "each drawn by itself"
    lines.append(f"{comparison.num_images} images, {drawn}, {majority}")
    lines += [verdict.sentence for verdict in comparison.verdicts.values()]
    return "\n".join(lines + [f"Note: {caveat}." for caveat in comparison.caveats])


def _across(found: "Mapping[str, Comparison]", refiners: dict[str, tuple[str, ...]]) -> str:
    """Comparisons by several networks as text: one table, then the verdicts of each."""
    from roadstill.evaluation.networks import figures_of, footnote, network_table

    rows = network_table(figures_of(found), {name: name for name in found}, refiners)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.append("balanced accuracy in %, mean and standard deviation over seeds")
    lines += [footnote(refiners)] if refiners else []
    for network, comparison in found.items():
        lines += [f"{network}: {verdict.sentence}" for verdict in comparison.verdicts.values()]
    return "\n".join(lines)


def _part(images: "ImageSet") -> str:
    """Which part was measured on, unless it is the test part: what was trained or chosen on is no result."""
    part = images.about.get("split")
    return f" of the {part} part, which is no result" if part in ("train", "dev") else ""


def _told(images: "ImageSet") -> "ImageSet":
    """The set itself; pictures that it holds more than once are told of."""
    for note in images.twins():
        _log.warning(note)
    return images
