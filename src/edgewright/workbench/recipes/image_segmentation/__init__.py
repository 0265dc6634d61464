"""Pictures to masks: a small U-Net on tiles, from pictures that lie beside their masks."""

from edgewright.workbench.recipes.image_segmentation.recipe import ImageSegmentation

__all__ = ["ImageSegmentation"]
