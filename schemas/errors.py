"""The errors a caller can act upon. Anything else that is raised is a bug and is left to crash."""


class PairsieveError(Exception):
    """Base of the errors that the command line prints without a traceback."""


class BadOption(PairsieveError):
    """An option, recipe or command line that cannot work: exit code 2, before any work."""


class Stopped(PairsieveError):
    """Work that cannot go on now and can be resumed with the same command: exit code 1."""
