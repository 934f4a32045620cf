"""`distil`: any method, from a large set to a small one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from roadstill.agents import AgentConfig
from roadstill.agents.networks import require_network
from roadstill.distil.beginning import Tools, task_of
from roadstill.distil.config import Distillation, method_of
from roadstill.distil.objectives.linear import LinearGradients, Looking
from roadstill.distil.priors import Held
from roadstill.distil.seeing import Choice, check_dev
from roadstill.distil.state import FILE, State
from roadstill.distil.storing import store
from roadstill.distil.task import Task
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.runs import digest_of, holding, remove, require_own, same_classes, state_beside
from roadstill.runs.progress import track

__all__ = ["Tools", "distil", "run"]


@holding()
def distil(
    real: ImageSet,
    method: str | Distillation,
    *,
    per_class: int,
    seed: int,
    out: Path,
    agent: AgentConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    tools: Tools = Tools(),  # noqa: B008  frozen
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> ImageSet:
    """Distils a set into ``per_class`` images of each class.

    A run that was stopped goes on where it was last saved, to the same bytes.

    Args:
        real: set that the small one stands for: the train part.
        method: name, see `METHODS`, or its settings.
        per_class: images per class.
        seed: seed of everything random.
        out: folder of the small set.
        agent: network that objectives look at, its normalisation and target; a ConvNet-3 for CIFAR-10 if not given.
        settings: changes of a named method, see `method_of`.
        tools: codec, generator, teacher, start and dev part that some settings need.
        device: where to compute.
        say: takes one line of progress.

    Raises:
        UserError: settings that do not fit, tools that are missing or of other classes, a loss that is not finite.
    """
    require_own(out, "set.json")
    config = method_of(method, per_class, settings) if isinstance(method, str) else method
    agent = agent or AgentConfig(network="convnet-3", normalise="cifar10")
    check(config, agent, real, tools, per_class)
    task, start = task_of(real, agent, config, tools, per_class=per_class, seed=seed, device=device)
    state = run(task, config, tools, out, say)
    name = method if isinstance(method, str) else "own"
    made = store(out, state, start, tools, method=name)
    remove(state.folder)
    return made


def run(
    task: Task, config: Distillation, tools: Tools, out: Path, say: Callable[[str], None] = lambda line: None
) -> State:
    """Takes all steps, from where an earlier call was stopped; the state lies beside the output until that is written.

    Raises:
        UserError: a loss that is not finite, or a part that cannot choose.
    """
    digests = [None if each is None else each.digest for each in (tools.start, tools.dev, tools.teacher, tools.codec)]
    digests.append(None if tools.base is None else tools.base.origin.digest)
    real = task.real.images
    key = digest_of([config, task.agent, real.digest, len(task.synthetic), task.seed, *digests])
    running = config.objective.begin(task)
    held = Held(config.priors, task.synthetic, tools.base if config.priors.score else None, task.seed)
    state = State(task, config, running, key, state_beside(out, "unfinished"), held)
    if tools.dev is not None and isinstance(running, Looking):
        own: LinearGradients = running.objective
        targets = task.synthetic.targets(range(len(task.synthetic))).detach().cpu()
        state.choice = Choice(
            tools.dev, targets, state.pictures(), running.networks, limit=own.real_images, ridge=own.ridge
        )  # fmt: skip
    try:
        start = state.resume()
        for step in track(range(start, config.steps), "steps of distillation", done=start):
            state.step(step)
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                told = ", ".join(f"{name} {value:.4g}" for name, value in state.terms.items())
                say(f"step {step + 1}/{config.steps}: {told}")
                state.save(step + 1)
    except UserError:
        if not (state.folder / FILE).is_file():
            remove(state.folder)
        raise
    return state


def check(config: Distillation, agent: AgentConfig, real: ImageSet, tools: Tools, per_class: int | None) -> None:
    """Refuses what does not fit before any work.

    Raises:
        UserError: names it.
    """
    require_network(agent.network)
    if isinstance(config.objective, LinearGradients):
        for name in config.objective.networks:
            require_network(name)
    if real.about.get("split") == "test":
        raise UserError(f"{real.root} is the test part, from which nothing may be learnt; give the train part")
    for name, wanted in (
        ("codec", config.parametrisation in ("latents", "noise")), ("base", config.parametrisation == "noise"),
    ):  # fmt: skip
        if wanted and getattr(tools, name) is None:
            raise UserError(f"parametrisation {config.parametrisation} needs a {name}; give one")
    if config.priors.score and tools.base is None:
        raise UserError("priors.score is that of a base generator; give a base, or set it 0")
    if (tools.dev is not None) != (config.looks > 0):
        raise UserError(f"looks is {config.looks} and {'a' if tools.dev else 'no'} dev part is given; looks above 0 "
                        "and dev need each other")  # fmt: skip
    if tools.dev is not None:
        check_dev(tools.dev, real.class_names)
    if tools.base is not None:
        _check_base(tools, real)
    if config.labels == "teacher" and tools.teacher is None:
        raise UserError("labels teacher needs a teacher, made by train; give one")
    if tools.teacher is not None:
        same_classes(tools.teacher.class_names, real.class_names, of="the teacher", to=real.root)
    if agent.target != "class" and config.labels in ("soft", "teacher"):
        raise UserError(f"labels {config.labels} are probabilities, and the target is {agent.target}; take values")
    if tools.start is not None:
        _check_start(tools.start, real, config, per_class)


def _check_base(tools: Tools, real: ImageSet) -> None:
    """Refuses a base generator of other classes, or of another codec's latents."""
    base, codec = tools.base, tools.codec
    assert base is not None
    if base.origin.class_names:
        same_classes(real.class_names, base.origin.class_names, of=real.root, to="the base generator")
    if codec is None:
        return
    if base.origin.codec not in (None, "untrained", codec.digest) and codec.digest != "untrained":
        raise UserError(f"the base was trained on latents of codec {base.origin.codec}, not of {codec.digest}; give "
                        "that codec, or set score 0")  # fmt: skip
    its, found = (*base.latent_shape, base.num_classes), (*codec.latent_shape(real.size_px), real.num_classes)
    if its[:3] != found[:3] or its[3] < found[3]:
        raise UserError(
            f"the base makes latents {list(its[:3])} of {its[3]} classes, but these are {list(found[:3])} of "
            f"{found[3]}; give a base for them, or set score 0"
        )


def _check_start(start: ImageSet, real: ImageSet, config: Distillation, per_class: int | None) -> None:
    same_classes(start.class_names, real.class_names, of=start.root, to=real.root)
    if start.size_px != real.size_px:
        raise UserError(
            f"{start.root} has {start.size_px} px pictures, but {real.root} has {real.size_px} px; prepare both alike"
        )
    fitting = (per_class, per_class * config.patches**2) if per_class is not None else ()
    if wrong := [f"{count} of {name}" for name, count in start.counts().items() if fitting and count not in fitting]:
        raise UserError(f"{start.root} holds {wrong[0]}, and {per_class} per class are asked for; give such a set")
