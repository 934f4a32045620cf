"""A distilled set on disk: pictures that anybody opens, the numbers that they were, and the recipe that they need."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from roadstill.agents import Agent, AgentConfig
from roadstill.agents.quantities import SOFT_VALUE
from roadstill.agents.targets import SOFT_LABEL
from roadstill.distil.config import Distillation
from roadstill.distil.task import Task
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.runs import plain


def store(
    out: Path, task: Task, real: ImageSet, *, pictures: Tensor, config: Distillation, agent: AgentConfig,
    method: "str | Distillation", seed: int, patches: int, start: ImageSet | None, teacher: Agent | None,
    told: Mapping[str, float],
) -> ImageSet:  # fmt: skip
    """Writes a distilled set.

    Args:
        out: folder.
        task: the distillation at its end.
        real: set that it stands for.
        pictures: pictures ``[n, 3, s, s]``, pixels in [0, 1] or beyond.
        config: settings.
        agent: network.
        method: name, or the settings again.
        seed: seed.
        patches: patches along a side of each picture.
        start: set that it began with, if one was given.
        teacher: teacher of its labels, if there is one.
        told: what else has to travel with it.
    """
    synthetic = task.synthetic
    values = pictures.detach().cpu().float()
    pixels = (values.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    targets = synthetic.targets(range(len(synthetic))).detach().cpu()
    hard = config.labels == "hard" and agent.target == "class"
    probabilities = agent.target == "class" and config.labels in ("soft", "teacher")
    recipe: dict[str, Any] = {"protocol": config.protocol, "labels": "soft" if probabilities else "hard", **told}
    if patches > 1:
        recipe["patches"] = patches
    whitening = task.real.space.whitening
    with ImageSetWriter(out, real.class_names, real.size_px) as writer:
        for row, label in enumerate(synthetic.classes.tolist()):
            facts: dict[str, Any] = {"method": method if isinstance(method, str) else "own", "seed": seed}
            if probabilities:
                facts[SOFT_LABEL] = targets[row].double().div(targets[row].double().sum()).tolist()
            elif not hard and agent.target != "class":
                facts[SOFT_VALUE] = targets[row].tolist()
            writer.add(pixels[row], label, facts)
        kept = {"pictures": values}
        if config.labels == "values":
            kept["targets"] = targets
        writer.values = kept if whitening is None else kept | {"mean": whitening.mean, "matrix": whitening.matrix}
        writer.about.update({
            **real.about,
            "distilled": {"config": plain(config), "agent": plain(agent), "real": real.digest, "seed": seed,
                          **({} if start is None else {"from": start.digest}),
                          **({} if teacher is None else {"teacher": teacher.digest})},
            "recipe": recipe,
        })  # fmt: skip
    return open_imageset(out)
