"""The command line: verbs alone; parse, call, print."""
