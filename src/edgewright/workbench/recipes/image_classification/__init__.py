"""Pictures to classes: a small network on pictures of one size, from a folder or a Parquet file."""

from edgewright.workbench.recipes.image_classification.recipe import ImageClassification

__all__ = ["ImageClassification"]
