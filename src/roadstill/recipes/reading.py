"""Recipes on disk: a YAML file and its sizes, laid over the recipe that it is like, checked field by field."""

import re
from copy import deepcopy
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_type_hints

from roadstill.errors import UserError, located
from roadstill.names import refused_class, restricted_parser
from roadstill.recipes.recipe import Recipe
from roadstill.recipes.spelling import GROUPED, in_groups, unrecorded
from roadstill.runs import read_yaml, require_mappings
from roadstill.weights import require_all_fetched

Size = Literal["toy", "small", "full"]


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(
        path.name.removesuffix(".yaml") for path in files("roadstill.recipes").iterdir() if path.name.endswith(".yaml")
    )


def read_recipe(source: str, size: Size | None = None, **overrides: Any) -> Recipe:
    """Reads a shipped recipe by name, or a YAML file by path.

    Args:
        source: name or path.
        size: which entry of ``sizes`` to lay over the recipe.
        overrides: top-level fields that replace the recipe's.

    Raises:
        UserError: no such recipe, no such size, a misspelt key or a value of the wrong type.
    """
    path, fields = _read(source)
    sizes = _wanted(fields.pop("sizes", None))
    if size is not None:
        if size not in sizes:
            raise UserError(f"{path} has no size {size!r}; it has {', '.join(sizes) or 'none'}")
        _require_mappings(sizes[size], f"{path}: sizes.{size}")
        left_out = {name for name, arm in (fields.get("arms") or {}).items() if arm is None}
        fields = _overlay(fields, sizes[size])
        if left_out:  # an arm that this recipe does not want stays out at every size
            fields["arms"] = {name: arm for name, arm in fields["arms"].items() if name not in left_out}
    recipe = parse_recipe(_completed(fields) | overrides, where=str(path))
    for name, arm in recipe.arms.items():
        if arm.of is not None and (arm.of not in recipe.arms or not recipe.arms[arm.of].finetune):
            raise UserError(f"{path}: arm {name!r} is of {arm.of!r}, which is no arm with a fine-tuning")
    if recipe.baseline not in {name.partition("@")[0] for name in recipe.arms}:  # a run's recipe has <arm>@<budget>
        raise UserError(f"{path}: baseline {recipe.baseline!r} is not one of the arms {', '.join(recipe.arms)}")
    return at_budgets(recipe)


def recipe_sizes(source: str) -> list[str]:
    """The sizes that a recipe has; errors as `read_recipe`."""
    return list(_wanted(_read(source)[1].get("sizes")))


def _wanted(entries: dict[str, Any] | None) -> dict[str, Any]:
    """Arms or sizes without those that are null, which a recipe like another one does not want."""
    return {name: entry for name, entry in (entries or {}).items() if entry is not None}


def _read(source: str, depth: int = 4) -> tuple[Path, dict[str, Any]]:
    """The file and its fields, laid over those of the recipe that it is ``like``."""
    path = Path(source)
    if source in shipped_recipes():
        path = Path(str(files("roadstill.recipes") / f"{source}.yaml"))
    elif not path.is_file():
        raise UserError(f"there is no recipe {source!r}; give a YAML file or one of {', '.join(shipped_recipes())}")
    fields = read_yaml(path)
    _require_mappings(fields, str(path))
    with located(path):
        fields = in_groups(unrecorded(fields, Recipe))
    require_all_fetched(fields, str(path))
    if (like := fields.pop("like", None)) is not None:
        if not depth:
            raise UserError(f"{path} is like a recipe that is like a recipe ... without end")
        fields = _overlay(_read(str(like), depth - 1)[1], fields)
    return path, fields


def _require_mappings(fields: Any, where: str) -> None:
    """Refuses a recipe, or a part of it that is laid over another, in which something else stands for a mapping.

    Raises:
        UserError: names the field.
    """
    if not isinstance(fields, dict):
        raise UserError(f"{where} holds no recipe; it should be a mapping with the fields of a recipe")
    for name in ("arms", "sizes", "thesis", "finetune"):
        if not isinstance(fields.get(name), (dict, NoneType)):
            raise UserError(f"{where}: {name} is {str(fields[name])[:80]!r}; it should be a mapping")
    hints = get_type_hints(Recipe)
    for name, value in fields.items():
        require_mappings(value, hints.get(name), f"{where}: {name}")


def _completed(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with what all fine-tunings share put under each arm's own, and without arms that are null."""
    shared, arms = fields.get("finetune"), fields.get("arms")
    if not isinstance(arms, dict):
        return fields
    arms = {str(name): arm for name, arm in _wanted(arms).items()}
    if shared is not None:
        for name, arm in arms.items():
            if isinstance(arm, dict) and arm.get("finetune") is not None:
                arms[name] = arm | {"finetune": _overlay(shared, arm["finetune"])}
    # A recipe that leaves out arms of the one it is like does not want their figures either.
    thesis = {
        key: text
        for key, text in (fields.get("thesis") or {}).items()
        if str(key).partition("@")[0] in {"majority", *(name.partition("@")[0] for name in arms)}
    }
    return {key: value for key, value in fields.items() if key != "finetune"} | {"arms": arms, "thesis": thesis}


def at_budgets(recipe: Recipe) -> Recipe:
    """The recipe with every small arm at each of its budgets; an arm that has ``per_class`` at that budget alone.

    Raises:
        UserError: an arm's ``per_class`` is none of the budgets, so that nothing would be compared with it.
    """
    if not recipe.budgets:
        return recipe

    def budgets_of(name: str) -> tuple[int, ...]:
        own = recipe.arms[name].per_class if name in recipe.arms else None
        if own not in (None, *recipe.budgets):
            budgets = list(recipe.budgets)
            raise UserError(f"arm {name!r}: per_class is {own}, and budgets are {budgets}; take one of them")
        return recipe.budgets if own is None else (own,)

    arms = {}
    for name, arm in recipe.arms.items():
        if arm.whole:
            arms[name] = arm
            continue
        first, *_ = budgets = budgets_of(name)
        of = arm.of and f"{arm.of}@{budgets_of(arm.of)[0]}"
        for budget in budgets:
            again = replace(arm, finetune=None, of=f"{name}@{first}") if arm.finetune else replace(arm, of=of)
            arms[f"{name}@{budget}"] = replace(arm if arm.finetune and budget == first else again, per_class=budget)
    return replace(recipe, arms=arms, budgets=())


def parse_recipe(fields: dict[str, Any], *, where: str) -> Recipe:
    """Checks names and types of all fields, nested ones too."""
    with restricted_parser(Recipe):
        return _parsed(fields, where)


def _parsed(fields: dict[str, Any], where: str) -> Recipe:
    from jsonargparse import ArgumentError, ArgumentParser

    _require_mappings(fields, where)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Recipe, "recipe")
    try:
        # Without defaults: the classes have them, and laying them under every nested field takes four times as long.
        given = {name: deepcopy(value) for name, value in fields.items() if value is not None}  # the parser changes it
        parsed = parser.instantiate(parser.parse_object({"recipe": given}, defaults=False))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except (ArgumentError, TypeError, ValueError, AttributeError) as error:
        said = _part_at_fault(fields) or refused_class(str(error), fields) or " ".join(str(error).split())[:300]
        raise UserError(f"{where}: {said}") from None
    recipe: Recipe = parsed.recipe
    return recipe


def _part_at_fault(fields: dict[str, Any]) -> str | None:
    """What is wrong with the settings of a training or a sampling, if that is where a recipe fails, by their names."""
    from jsonargparse import ArgumentError, ArgumentParser

    parts = {name: fields.get(name) for name in GROUPED}
    for arm, its in fields["arms"].items() if isinstance(fields.get("arms"), dict) else ():
        if isinstance(its, dict):
            parts |= {f"arms.{arm}.{name}": its.get(name) for name in GROUPED}
    for where, part in parts.items():
        if part is None:
            continue
        name = where.rpartition(".")[2]
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(GROUPED[name], name)
        try:
            parser.instantiate(parser.parse_object({name: deepcopy(part)}, defaults=False))
        except UserError as error:
            return f"{where}: {error}"
        except (ArgumentError, TypeError, ValueError, AttributeError) as error:
            plain = re.sub(r"<class '[\w.]*?(\w+)'>", r"\1", " ".join(str(error).split()))
            said = refused_class(str(error), part if isinstance(part, dict) else {}) or plain
            return f"{where}: {said[:300]}"
    return None


def _overlay(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _overlay(below.get(key), value) for key, value in above.items()}
    return above
