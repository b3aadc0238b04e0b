"""Beyond the published method: what could be better than it, each idea a method of its own beside its random control.

    python -m experiments.beyond.run --model clerk

docs/beyond-plan.md was written before the numbers. An idea that wins becomes a method of the package; the others stay here.
"""
