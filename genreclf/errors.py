"""What a user can mend."""


class GenreclfError(Exception):
    """One line that names the file or the key, says what is wrong and how to mend it.

    Commands print it without a traceback and exit with code 2. Anything else that is raised is our defect.
    """
