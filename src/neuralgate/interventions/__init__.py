"""What is put on a model and taken off again: patches of its weights, their files, cards and exports."""
