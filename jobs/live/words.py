"""Sizes and times as people read them."""

TIMES = ((86_400, "days"), (3600, "h"), (60, "min"))


def size_in_words(size: float) -> str:
    """Return a number of bytes with the unit that suits it, e.g. `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def time_in_words(seconds: float) -> str:
    """Return a time with the unit that suits it: seconds up to two minutes, then e.g. `2.5 h`."""
    for length, unit in TIMES:
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.0f} s"
