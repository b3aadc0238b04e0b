"""Training: rows of pairs, their losses, the gated gradient, and the loop that stops by validation."""
