"""Edit: the gated-gradient trainer, the layer search, and the patch."""

from neuralgate.edit.patch import Patch
from neuralgate.edit.search import search_layer
from neuralgate.edit.trainer import Training, edit

__all__ = ["Patch", "Training", "edit", "search_layer"]
