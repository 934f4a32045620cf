"""The verb doctor: what was found and what is missing."""

import json as _json
import time
from pathlib import Path


def doctor(*, data: Path | None = None, json: bool = False) -> str:
    """Shows what is installed, which weights and data were found, and what each verb still needs.

    Nothing is downloaded or changed. The output fits a bug report: the names of your home folder, user and machine are
    blanked out, and of a log only types and sizes are shown, no content.

    Args:
        data: folder of driving data, in addition to those that environment variables name.
        json: output as JSON instead of words.
    """
    from roadstill.doctor import as_text, examine

    started = time.monotonic()
    facts = examine(data.expanduser() if data is not None else None)
    return _json.dumps(facts, indent=2, ensure_ascii=False) if json else as_text(facts, started)
