"""What is chosen by trial edits on validation pairs."""
