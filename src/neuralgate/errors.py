"""The one exception that is meant for the user's eyes."""


class UserError(Exception):
    """Something the user can put right, in one sentence: what is wrong and what to do.

    The command line prints the sentence and ends with exit code 2; ``--debug`` shows where it was raised.
    """


def first_line(error: Exception) -> str:
    """What an error of a library says, as part of one sentence; its kind where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
