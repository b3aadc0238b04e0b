"""Forward passes that share what questions have in common; the plain pass with a hook is the oracle of each."""
