"""The verb doctor: what was found and what is missing, on the machine or in a run folder."""

import json as _json
import sys
import time
from pathlib import Path

from roadstill.errors import UserError, one_line
from roadstill.runs.progress import say


def doctor(
    run: Path | None = None, *, data: Path | None = None, json: bool = False, repair: bool = False, workers: int = 2
) -> str:
    """Shows what is installed and what each verb still needs; or checks a run folder, and repairs it.

    Weights and data are looked for. Nothing is downloaded or changed. The output fits a bug report: the names of your
    home folder, user and machine are blanked out, and of a log only types and sizes are shown, no content. With a run
    folder, `roadstill doctor RUN` reads all that the run recorded a digest of, names what is damaged or missing, and
    ends with exit code 2 if anything is.

    Args:
        run: run folder, or folder of a study, to be checked instead; it may be given as the first word.
        data: folder of driving data, in addition to those that environment variables name.
        json: output as JSON instead of words.
        repair: whether what is damaged or missing in the run is made again, by its own recipe and nothing else.
        workers: number of processes that make it again.
    """
    if run is not None:
        return _check(run, repair, json, workers)
    if repair:
        raise UserError("repair is for a run folder; name it: roadstill doctor RUN --repair")
    from roadstill.doctor import as_text, examine

    started = time.monotonic()
    facts = examine(data.expanduser() if data is not None else None)
    return _json.dumps(facts, indent=2, ensure_ascii=False) if json else as_text(facts, started)


def _check(folder: Path, repair: bool, json: bool, workers: int) -> str:
    from roadstill.pipeline.wholeness import Finding, examine, mend, runs_in

    found: list[tuple[Path, Finding]] = []
    runs = runs_in(folder)
    for run in runs:
        its = examine(run)
        if its and repair:
            its = mend(run, say=say, workers=workers)
        found += [(run, each) for each in its]
    if not found:
        said = f"{folder} is whole"
        return _json.dumps({"whole": True, "findings": []}) if json else said
    if json:
        _say(_json.dumps({"whole": False, "findings": [{"run": str(run), **vars(each)} for run, each in found]}))
    else:
        for run, each in found:
            _say(f"{run}: {each}")
    first = f"{found[0][0]}: {found[0][1]}" + (f" and {len(found) - 1} more" if len(found) > 1 else "")
    mendable = any(each.mendable for _, each in found)
    way = "no recipe makes that again: put back what was changed, or take another folder"
    if mendable and not repair:
        way = f"roadstill doctor {folder} --repair makes again what a recipe can"
    raise UserError(f"{first}; {way}")


def _say(line: str) -> None:
    sys.stderr.write(f"{one_line(line)}\n")
