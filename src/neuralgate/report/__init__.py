"""What a person looks at, derived from a run folder alone. Nothing here imports torch."""
