"""The errors a caller can act upon. Anything else that is raised is a bug and is left to crash."""

import difflib

MAX_LISTED = 20  # names in a message
SHOWN = 5  # of more than that


class PairsieveError(Exception):
    """Base of the errors that the command line prints without a traceback."""


class BadOption(PairsieveError):
    """An option, recipe or command line that cannot work: exit code 2, before any work."""


class Stopped(PairsieveError):
    """Work that cannot go on now and can be resumed with the same command: exit code 1."""


def nearest(name: str, known: list[str]) -> str:
    """Return a clause on the `known` names: the nearest to `name`, and all if they are few.

    Of many that are all unlike it, those that are least so are named.
    """
    folded = {each.casefold(): each for each in reversed(known)}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    hint = f"did you mean `{folded[near[0]]}`?" if near else ""
    if len(known) > MAX_LISTED:
        similar = difflib.get_close_matches(name.casefold(), folded, SHOWN, cutoff=0)
        names = ", ".join(folded[each] for each in similar)
        return hint or f"known are {len(known)}, such as {names}"
    listed = f"known: {', '.join(known)}"
    return f"{listed}; {hint}" if hint else listed
