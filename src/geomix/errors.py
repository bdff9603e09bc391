"""The one error that is the user's to mend: stages print it as a line and exit with 1."""


class InputError(ValueError):
    """Bad input: params, files or arguments.

    The message names the place, what was found and what was expected.
    """
