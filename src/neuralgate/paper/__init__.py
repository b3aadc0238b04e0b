"""What a located gate is worth: the paper's figures redrawn from a run, and the checks that the paper does not show."""
