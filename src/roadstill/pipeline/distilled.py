"""Distilled arms of a recipe: the experts that some methods follow, and the sets themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from roadstill.distil import Tools, distil, method_of
from roadstill.distil.beginning import space_of
from roadstill.distil.experts import make_experts
from roadstill.distil.task import real_of
from roadstill.errors import UserError
from roadstill.generator.checkpoints import load_denoiser
from roadstill.imagesets import ImageSet
from roadstill.pipeline.road import Road
from roadstill.selection import Picker, pick


def distil_set(road: Road, name: str, seed: int, out: Path, selector: Callable[[str], Picker]) -> ImageSet:
    """What an arm's method distils for one seed; ``selector`` makes what picks the frames that it begins with."""
    recipe, arm, train = road.recipe, road.recipe.arms[name], road.split("train")
    asked, per_class = arm.distil, road.per_class(name)
    assert asked is not None
    config, settings = method_of(asked.method, per_class, asked.settings), dict(asked.settings or {})
    if asked.follows_experts():
        folder = str(road.folder / experts_folder(config.whitening))
        settings["objective"] = {**settings.get("objective", {}), "experts": folder}
    start = None
    if asked.start is not None:
        count = per_class * config.patches**2
        start = pick(train, selector(asked.start), per_class=count, seed=seed, out=out)
    teaches = config.labels in ("teacher", "soft") and "teacher" in road.stages
    tools = Tools(
        codec=road.codec if config.parametrisation in ("latents", "noise") else None,
        base=load_denoiser(road.base) if config.parametrisation == "noise" else None,
        teacher=road.teacher if teaches else None,
        start=start,
    )
    return distil(
        train, asked.method, per_class=per_class, seed=seed, out=out, agent=recipe.agent, settings=settings, tools=tools
    )


def experts_folder(whitening: str) -> str:
    """Folder of a run's experts that see pixels of this whitening."""
    return f"experts/{whitening}"


def distilled_with(road: Road, name: str) -> dict[str, Any]:
    """What a distilled arm's sets depend on besides the train part."""
    recipe, asked = road.recipe, road.recipe.arms[name].distil
    assert asked is not None
    found: dict[str, Any] = {"distil": asked, "agent": recipe.agent, "codec": recipe.codec, "decoder": recipe.decoder}
    if method_of(asked.method, road.per_class(name), asked.settings).parametrisation == "noise":
        found["base"] = road.base_digest
    return found


def experts_of(road: Road, name: str) -> list[str]:
    """The stage of the experts that an arm follows, if it does; they are made here if they are not yet.

    Raises:
        UserError: the recipe trains none.
    """
    recipe, asked = road.recipe, road.recipe.arms[name].distil
    assert asked is not None
    if not asked.follows_experts():
        return []
    if recipe.experts is None:
        raise UserError(f"the arm {name!r} follows experts, and the recipe trains none; give experts")
    whitening = asked.whitening(road.per_class(name))
    stage_name = f"experts-{whitening}"
    if stage_name not in road.stages:
        config = {"experts": recipe.experts, "agent": recipe.agent, "whitening": whitening}
        stage = road.stage(stage_name, config, "sets", product=[experts_folder(whitening)])
        if not stage.done:
            stage.begin()
            train = road.split("train")
            known = real_of(train, space_of(train, recipe.agent, whitening), recipe.agent.target, 0)
            make_experts(
                known, recipe.agent, road.folder / experts_folder(whitening), config=recipe.experts, seed=0,
                workers=road.workers, say=road.say,
            )  # fmt: skip
            stage.finish()
    return [stage_name]
