"""The verb doctor: what is here and what is missing."""

import json as _json
import time
from pathlib import Path


def doctor(*, data: Path | None = None, json: bool = False) -> str:
    """Looks what is installed, which weights and driving data are here, and what each verb still needs.

    Nothing is fetched or changed. What it prints fits a bug report: names of your home folder, user and machine are
    blotted out, and of a log it tells types and sizes, no content.

    Args:
        data: folder of driving data beside those that environment variables name.
        json: print JSON.
    """
    from roadstill.doctor import as_text, examine

    started = time.monotonic()
    facts = examine(data.expanduser() if data is not None else None)
    return _json.dumps(facts, indent=2, ensure_ascii=False) if json else as_text(facts, started)
