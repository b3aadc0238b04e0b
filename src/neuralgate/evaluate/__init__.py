"""Evaluate: questions -> free answers of the base and every variant -> judged, scored with intervals."""
