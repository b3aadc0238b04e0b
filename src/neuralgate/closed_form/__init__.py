"""Edits without a training loop of the weights: values that make the answers come, and the update that gives them to their keys."""
