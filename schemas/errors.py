"""The errors a caller can act upon. Anything else that is raised is a bug and is left to crash."""

import difflib


class PairsieveError(Exception):
    """Base of the errors that the command line prints without a traceback."""


class BadOption(PairsieveError):
    """An option, recipe or command line that cannot work: exit code 2, before any work."""


class Stopped(PairsieveError):
    """Work that cannot go on now and can be resumed with the same command: exit code 1."""


def nearest(name: str, known: list[str]) -> str:
    """Return a clause that lists the `known` names and the nearest to `name`, if one is near."""
    folded = {each.casefold(): each for each in reversed(known)}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    hint = f"; did you mean `{folded[near[0]]}`?" if near else ""
    return f"known: {', '.join(known)}{hint}"
