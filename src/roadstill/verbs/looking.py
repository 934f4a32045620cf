"""The verb that shows a run in the browser."""

import sys
from pathlib import Path

from roadstill.errors import UserError
from roadstill.names import current_trust


def app(run: Path, *, port: int = 8611) -> str:
    """Opens a page on this machine to look at a run's sets, compare its arms and draw pictures.

    The page is for the browser of this machine alone; it asks nobody else for anything, and takes no files. Ctrl-C
    ends it. Needs the extra app.

    Args:
        run: folder made by run or demo; it may still be at work.
        port: port of the page, 0 for any that is free.
    """
    from roadstill.app.browse import require_run
    from roadstill.app.serve import require_extra, serve

    if not 0 <= port <= 65_535:
        raise UserError(f"port is {port}; it must be between 0 and 65,535")
    require_run(run)
    require_extra()
    serve(run, port=port, say=_told, trusted=current_trust().everything)
    return "stopped"


def _told(address: str) -> None:
    """The address, at once: the verb itself answers only when it has ended."""
    sys.stdout.write(f"{address} (Ctrl-C ends it)\n")
    sys.stdout.flush()
