"""Workloads: each says how to get its data, what the network is, and what the model promises.

A recipe is found by its entry point (`edgewright.recipes`), so another package can bring one; it is
listed by metadata and loaded on use. Its options are frozen values that a TOML table fills, where
an unknown key is an error.

    >>> find_recipe("hra")
    Traceback (most recent call last):
    ...
    edgewright.errors.InputError: recipe 'hra' is not installed; did you mean 'har'?
"""

from edgewright.workbench.recipes.base import (
    CLASSIFICATION,
    REGRESSION,
    SEGMENTATION,
    Inputs,
    ModelFacts,
    Moment,
    OwnData,
    Recipe,
    Task,
    find_recipe,
    recipe_names,
)

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "SEGMENTATION",
    "Inputs",
    "ModelFacts",
    "Moment",
    "OwnData",
    "Recipe",
    "Task",
    "find_recipe",
    "recipe_names",
]
