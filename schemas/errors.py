"""The errors a caller can act upon. Anything else that is raised is a bug and is left to crash."""

import difflib
import errno
import os

MAX_LISTED = 20  # names in a message
SHOWN = 5  # of more than that
FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EFBIG: "no file may be so large here",
}


class PairsieveError(Exception):
    """Base of the errors that the command line prints without a traceback."""


class BadOption(PairsieveError):
    """An option, recipe or command line that cannot work: exit code 2, before any work."""


class Stopped(PairsieveError):
    """Work that cannot go on now and can be resumed with the same command: exit code 1."""


def out_of_room(error: BaseException) -> str | None:
    """Return what to do where an error says that a disk or the memory is full; None for others.

    DuckDB and obstore only have the system's words for it.
    """
    for number, what in FULL.items():
        if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
            return (
                f"{what}: {error}; make room, or name another with `scratch.folder`, and run again"
            )
    if type(error).__name__ == "OutOfMemoryException":
        return (
            f"memory and scratch disk do not suffice: {error}; give more with `scratch.memory_mb` "
            "or `scratch.folder`, and run again"
        )
    return None


def not_permitted(error: BaseException) -> str | None:
    """Return what the system does not let us read or write, and why; None for other errors."""
    if os.strerror(errno.EROFS) in str(error) and not isinstance(error, OSError):
        return f"{error}; allow it, and run again"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename or 'a file'}: {error.strerror}; allow it, and run again"
    return None


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
