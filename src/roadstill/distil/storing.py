"""A distilled set on disk: pictures that anybody opens, the numbers that they were, and the recipe that they need."""

from pathlib import Path
from typing import Any

from roadstill.agents.quantities import SOFT_VALUE
from roadstill.agents.targets import SOFT_LABEL
from roadstill.distil.beginning import Start, Tools
from roadstill.distil.state import State
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.imagesets.sources import SOURCES, recorded, sources_of
from roadstill.imagesets.values import to_uint8
from roadstill.runs import plain


def store(out: Path, state: State, start: Start, tools: Tools, *, method: str) -> ImageSet:
    """Writes a distilled set.

    Args:
        out: folder.
        state: the distillation at its end.
        start: what it began with, whose facts tell from which frames pictures come.
        tools: what it was given.
        method: name of the method.
    """
    task, config, values = state.task, state.config, state.kept().detach().cpu().float()
    real, agent = task.real.images, task.agent
    targets = task.synthetic.targets(range(len(task.synthetic))).detach().cpu()
    probabilities = agent.target == "class" and config.labels in ("soft", "teacher")
    recipe: dict[str, Any] = {"protocol": config.protocol, "labels": "soft" if probabilities else "hard"}
    recipe |= state.running.told()
    if config.patches > 1:
        recipe["patches"] = config.patches
    whitening, pixels = task.real.space.whitening, to_uint8(values)
    with ImageSetWriter(out, real.class_names, real.size_px) as writer:
        for row, label in enumerate(task.synthetic.classes.tolist()):
            facts: dict[str, Any] = {**start.facts[row], "method": method, "seed": task.seed}
            if probabilities:
                facts[SOFT_LABEL] = targets[row].double().div(targets[row].double().sum()).tolist()
            elif agent.target != "class":
                facts[SOFT_VALUE] = targets[row].tolist()
            writer.add(pixels[row], label, facts)
        kept = {"pictures": values}
        if config.labels == "values":
            kept["targets"] = targets
        if whitening is not None:
            kept |= {"mean": whitening.mean, "matrix": whitening.matrix}
        # Decoded pictures are pictures; of what moved as pixels, 8 bits keep too little.
        if config.parametrisation in ("pixels", "unit") or len(kept) > 1:
            writer.values = kept
        writer.about.update({**real.about, "distilled": record_of(state, tools), "recipe": recipe})
        begun = [] if tools.start is None else [sources_of(tools.start.about)]
        drawn = [] if tools.base is None else [tools.base.origin.sources]
        if begun or drawn:  # else it stems from what the record of the whole set tells
            writer.about[SOURCES] = recorded(sources_of(real.about), *begun, *drawn)
    return open_imageset(out)


def record_of(state: State, tools: Tools) -> dict[str, Any]:
    """How a set was made, as its record tells it."""
    task = state.task
    record: dict[str, Any] = {
        "config": plain(state.config), "agent": plain(task.agent), "real": task.real.images.digest, "seed": task.seed,
        "networks": list(state.config.objective.networks_beside(task.agent.network)),
    }  # fmt: skip
    for name, each in (("from", tools.start), ("dev", tools.dev), ("teacher", tools.teacher)):
        if each is not None:
            record[name] = each.digest
    if tools.base is not None:
        record["base"] = tools.base.origin.digest
    if state.choice is not None:
        record["chosen"] = state.choice.record()
    return record
