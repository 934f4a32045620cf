"""Recipes of any bytes end in a recipe or in one line; findings become cases of ``tests/hostile/test_recipes.py``."""

from collections.abc import Iterator
from pathlib import Path

from targets import Target, check_line

_ARMS = "arms:\n  random: {kind: random, label: x}\n"
SEEDS = (
    f"name: m\n{_ARMS}  b: {{kind: generated, label: y, finetune: {{steps: 2, minimax: {{diversity: 0.1}}}}}}\n",
    f"name: m\nlike: demo\n{_ARMS}budgets: [1, 5]\nsizes: {{toy: {{seeds: 4}}}}\n",
    f"name: m\n{_ARMS}agent: &a {{network: convnet, learning_rate: 1e-3}}\nfull_agent: {{<<: *a, steps: 9}}\n",
    f"name: m\n{_ARMS}others: {{soft: {{labels: soft}}}}\nsampling: {{guidance_interval: [0, 0.5], noise: null}}\n",
    f"name: m\n{_ARMS}index: {{filter: {{min_speed_mps: 3}}, shares: [0.7, 0.15, 0.15]}}\nworld: {{drives: 3}}\n",
    f"name: m\n{_ARMS}thesis: {{random@10: 60.86 ± 6.69}}\nprotocol: literature\nhook: my.Hook\n",
    "a: &a [*a]\n",
    "[[[[[[",
)


def read(data: bytes, folder: Path) -> None:
    """Reads a recipe of these bytes.

    Raises:
        Exception: anything but a line for the user.
    """
    from roadstill.errors import UserError
    from roadstill.recipes import read_recipe, recipe_sizes

    path = folder / "r.yaml"
    path.write_bytes(data)
    try:
        for size in (None, *recipe_sizes(str(path))):
            recipe = read_recipe(str(path), size)
            assert recipe.name.isprintable()
            assert recipe.seeds >= 3
            assert all(arm.isprintable() and "/" not in arm for arm in recipe.arms)
    except UserError as error:
        check_line(str(error))


def seeds(_: Path) -> Iterator[bytes]:
    """The recipes as bytes."""
    return (seed.encode() for seed in SEEDS)


TARGET = Target(seeds, read, rooms=("recipes", "runs"))
