"""Foreign texts in our errors."""


def printable(text: str) -> str:
    """A foreign file's text for an error: on one line, shortened, and without control characters."""
    return repr(text[:120])[1:-1]
