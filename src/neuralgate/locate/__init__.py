"""Locate: scaling vectors, their votes, and what the votes are worth."""
