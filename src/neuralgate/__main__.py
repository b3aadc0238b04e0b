"""``python -m neuralgate`` is the command."""

from neuralgate.cli.main import main

main()
