"""The drives of a run as the page shows them: a table of arms, a success and a failure."""

import base64
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.images import read_image
from roadstill.report.captions import jpeg_uri
from roadstill.report.records import REMEDY, DrivesRecord
from roadstill.report.verdicts import verdict_named
from roadstill.runs import read_json, typed

_FILMS = {"success": "A drive without a fault", "failure": "A drive with a fault"}
_MOST_BYTES = 8 * 2**20
_STRIP_PX = 1600


def drives(run: Path) -> dict[str, Any] | None:
    """``drives.json`` with its films; ``None`` without one."""
    path = run / "drives.json"
    if not path.is_file():
        return None
    found = read_json(path)
    typed(found, DrivesRecord, str(path), REMEDY)
    labels = found.get("labels", {})
    verdicts = {name: verdict_named(verdict, labels) for name, verdict in found["verdicts"].items()}
    arms = [
        arm | {"name": name, "label": labels.get(name, name), "verdict": verdicts.get(name)}
        for name, arm in found["arms"].items()
    ]
    films = [_film(run / "drives", name, title) for name, title in _FILMS.items()]
    return found | {"arms": arms, "verdicts": verdicts, "films": [film for film in films if film]}


def _film(folder: Path, name: str, title: str) -> dict[str, str] | None:
    moving, strip = folder / f"{name}.gif", folder / f"{name}.png"
    if not (moving.is_file() and strip.is_file()):
        return None
    if moving.stat().st_size > _MOST_BYTES:
        raise UserError(f"{moving} has more than {_MOST_BYTES // 2**20} MiB; {REMEDY}")
    read_image(moving)  # refuses what is no picture
    uri = "data:image/gif;base64," + base64.b64encode(moving.read_bytes()).decode("ascii")
    return {"title": title, "moving": uri, "strip": jpeg_uri(read_image(strip), _STRIP_PX)}
