"""Lines of progress, which stand beside the output that other programs read."""

import sys


def progress(line: str) -> None:
    """Prints a line of progress."""
    sys.stderr.write(f"· {line}\n")
    sys.stderr.flush()
