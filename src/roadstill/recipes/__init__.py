"""Recipes: one experiment each, a YAML file read into frozen dataclasses; every size runs the same code.

A recipe file holds the fields of `Recipe` and a block ``sizes`` whose entries (toy, small, full) override them. With
``like: <recipe>`` it holds only what differs from another one, an arm or a size that is null being left out. A block
``finetune`` holds what all arms' fine-tunings share.
"""

from roadstill.recipes.arms import Arm, Distilled
from roadstill.recipes.reading import Size, at_budgets, parse_recipe, read_recipe, recipe_sizes, shipped_recipes
from roadstill.recipes.recipe import Recipe
from roadstill.recipes.worlds import Drives, World

__all__ = [
    "Arm",
    "Distilled",
    "Drives",
    "Recipe",
    "Size",
    "World",
    "at_budgets",
    "parse_recipe",
    "read_recipe",
    "recipe_sizes",
    "shipped_recipes",
]
