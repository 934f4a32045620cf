"""Verbs that make the baselines and judge: select, train, evaluate, compare."""

from pathlib import Path
from typing import Literal

from roadstill.agents import AgentConfig
from roadstill.errors import UserError


def select(
    images: Path,
    out: Path,
    *,
    method: Literal["random", "per_drive", "confident", "medoids"] = "random",
    teacher: Path | None = None,
    per_class: int = 10,
    seed: int = 0,
) -> str:
    """Picks images: the baselines of every distilled set, or the best of many generated ones.

    Args:
        images: image set to pick from.
        out: folder to make.
        method: random; random spread over the drives; those whose class a teacher is surest of; or one for each of as
            many clusters in the teacher's features.
        teacher: agent for confident and medoids, made by train; it must have seen nothing but the train part.
        per_class: images per class.
        seed: of the draw.
    """
    from roadstill.agents import open_agent
    from roadstill.imagesets import open_imageset
    from roadstill.runs import digest_file
    from roadstill.selection import Confident, Medoids, PerDriveRandom, Random, Selector
    from roadstill.selection import select as pick

    if (teacher is None) == (method in ("confident", "medoids")):
        raise UserError(f"method {method} {'needs' if teacher is None else 'does not take'} a teacher, made by train")
    source = open_imageset(images)
    selector: Selector = PerDriveRandom() if method == "per_drive" else Random()
    if teacher is not None:
        agent = open_agent(teacher)
        if agent.class_names != source.class_names:
            raise UserError(f"{teacher} knows the classes {agent.class_names}, but {images} has {source.class_names}")
        digest = digest_file(teacher / "network.safetensors")
        surest = method == "confident"
        selector = Confident(agent.predict, digest) if surest else Medoids(agent.features, teacher=digest)
    made = pick(source, selector, per_class=per_class, seed=seed).save(out)
    return f"{out}: {len(made)} images by {method}, {per_class} per class"


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
        images: image set to learn from.
        out: folder to make.
        agent: network and optimiser.
        seed: of the start and the order of the images.
        dev: image set to look at along the way; the agent of the best look goes to the folder's part chosen. The agent
            itself stays that of the last step.
        looks: how often to look at dev.
    """
    from roadstill.agents import train_agent
    from roadstill.imagesets import open_imageset

    watched = None if dev is None else open_imageset(dev)
    made = train_agent(open_imageset(images), config=agent, seed=seed, dev=watched, looks=looks)
    made.save(out)
    line = f"{out}: {agent.network} after {agent.steps} steps on {images}"
    return line if made.chosen is None else f"{line}; {out / 'chosen'}: after {made.chosen.about['chosen_step']}"


def evaluate(
    agent: Path,
    images: Path,
    *,
    out: Path | None = None,
    arm: str | None = None,
    ledger: Path | None = None,
) -> str:
    """Measures a trained agent on an image set.

    Args:
        agent: folder that train made.
        images: image set to measure on; a test part is opened through the ledger.
        out: folder to write the run to, for compare.
        arm: name of the arm in compare; the agent folder's name if not given.
        ledger: file that notes every opening of a test part; test_ledger.jsonl beside the set if not given.
    """
    from roadstill.agents import open_agent
    from roadstill.evaluation import evaluate as measure
    from roadstill.evaluation import note_outcome, open_test, run_of
    from roadstill.imagesets import open_imageset

    trained, pictures = open_agent(agent), open_imageset(images)
    book = ledger or images.parent / "test_ledger.jsonl"
    is_test = pictures.about.get("split") == "test"
    if is_test:
        pictures = open_test(pictures, ledger=book, config=trained.config, what=f"evaluate {agent}")
    found = measure(trained, pictures)
    if is_test:
        note_outcome(pictures, ledger=book, outcome={"balanced_accuracy": found.balanced_accuracy})
    if out:
        run_of(arm or agent.name, int(trained.about["seed"]), found, pictures).save(out)
    classes = ", ".join(f"{name} {100 * share:.1f}" for name, share in found.class_accuracy.items())
    return (
        f"balanced accuracy {100 * found.balanced_accuracy:.1f} %, accuracy {100 * found.accuracy:.1f} % "
        f"(always {found.majority_class}: {100 * found.majority_accuracy:.1f} %), {classes}, "
        f"AUROC {found.auroc:.3f}, {found.n} images"
    )


def compare(
    runs: Path,
    *,
    baseline: str = "random",
    cluster_by: Literal["log", "drive"] = "log",
    out: Path | None = None,
) -> str:
    """Judges small sets against a baseline with paired seeds, and says it in words.

    Args:
        runs: folder with the runs that evaluate wrote, at any depth.
        baseline: arm that the others are compared with.
        cluster_by: what the interval draws anew.
        out: file for the whole comparison as JSON.
    """
    from roadstill.evaluation import compare as judge
    from roadstill.evaluation import open_runs
    from roadstill.runs import require_folder

    arms = open_runs(require_folder(runs, "a folder of runs, made by evaluate --out"))
    if baseline not in arms:
        raise UserError(f"{runs} has no arm {baseline!r}; it has {', '.join(sorted(arms))}")
    comparison = judge(arms, baseline=baseline, cluster_by=cluster_by)
    if out:
        comparison.save(out)
    return table(comparison)


def table(comparison: object) -> str:
    """The comparison as lines of text: one per arm, then the verdicts."""
    from roadstill.evaluation import Comparison

    assert isinstance(comparison, Comparison)
    width = max(len(name) for name in comparison.arms)
    lines = [f"{'arm':<{width}}  balanced accuracy   seeds"]
    for name, arm in comparison.arms.items():
        figure = arm.balanced_accuracy
        lines.append(f"{name:<{width}}  {100 * figure.mean:5.1f} +- {100 * figure.sd:4.1f} %     {len(arm.seeds)}")
    majority = f"always {comparison.majority_class}: accuracy {100 * comparison.majority_accuracy:.1f} %"
    lines.append(f"{comparison.num_images} images, {comparison.num_clusters} {comparison.cluster_by}s, {majority}")
    return "\n".join(lines + [verdict.sentence for verdict in comparison.verdicts.values()])
