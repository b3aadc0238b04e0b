"""The run folder, and the story that fills it."""
