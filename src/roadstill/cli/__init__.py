"""The door: `roadstill <verb>`.

Exit codes: 0 done, 2 the user's mistake (one line says which), 1 a fault of ours, 3 done with what could be read.

Verbs are typed functions under `roadstill.verbs`; a verb's module is imported only when that verb is called, so that
``roadstill --help`` answers at once.
"""

import difflib
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

from roadstill import __version__
from roadstill.cli.ahead import check
from roadstill.cli.displays import LOG_JSON, QUIET, display_of, warnings_as_json, without_flags, write_json, write_line
from roadstill.cli.launch import follow_launcher, is_first, lost_the_others, processes, run_in_processes, told_launcher
from roadstill.cli.spelling import completed
from roadstill.errors import PartlyDone, UserError, of_system, one_line
from roadstill.runs.progress import showing

__all__ = ["VERBS", "completed", "main", "verb_function"]

VERBS: dict[str, tuple[str, str]] = {
    "demo": (
        "whole",
        "Runs the whole pipeline on the built-in synthetic world: data, distilled sets, verdict, report.",
    ),
    "run": ("whole", "Runs a recipe: all verbs in order, skipping what is already on disk."),
    "study": (
        "whole",
        "Runs the recipes of a study and puts the results into one table beside the thesis' figures.",
    ),
    "report": ("whole", "Writes report.html of a run folder."),
    "app": ("looking", "Opens a page on this machine to look at a run's sets, compare its arms and draw pictures."),
    "world": ("data", "Makes a built-in driving world: synthetic logs, maps and pictures in NAVSIM's layout."),
    "index": ("data", "Reads driving logs into a table of frames, filters them and splits them by drive."),
    "prepare": ("data", "Crops and resizes the wanted pictures: one image set each for train, dev and test."),
    "encode": ("generator", "Encodes an image set into latents."),
    "pretrain": ("generator", "Trains a codec or a base generator from scratch, or goes on with a base."),
    "finetune": (
        "generator",
        "Fine-tunes a generator on latents with adapters and minimax criteria, or trains one from scratch.",
    ),
    "generate": ("generator", "Generates an image set from a checkpoint: a few images per class."),
    "refine": ("distilling", "Optimises a small set's latents so that training on it matches training on all frames."),
    "distil": ("distilling", "Distils an image set into a few images of each class by a published method."),
    "experts": (
        "distilling",
        "Trains agents on a whole image set and keeps their weights after every epoch, for methods that follow them.",
    ),
    "export": (
        "generator",
        "Writes a generator for other programs: a diffusers folder, or one safetensors file in the original layout.",
    ),
    "params": ("generator", "Prints how many parameters a backbone has and how many each adapter trains."),
    "bench": ("bench", "Times a part against a plainly written baseline in the same run and prints the ratios."),
    "plan": ("planning", "Plans a size: disk, memory, floating-point operations, hours and engine of every stage."),
    "select": ("picking", "Selects real frames as baselines, or the best of many generated images."),
    "update": (
        "updating",
        "Keeps a selected set current: exchanges as few pictures for new frames as its own selector gains from.",
    ),
    "train": ("judge", "Trains a driving agent on an image set."),
    "evaluate": ("judge", "Evaluates a trained agent on an image set."),
    "compare": ("judge", "Compares small sets with a baseline over paired seeds, and states the verdict in words."),
    "describe": (
        "describing",
        "Describes sets of pictures, such as generated ones, against real frames: FID, KID, overlap, copies.",
    ),
    "audit": (
        "auditing",
        "Audits a set: copies of real frames, membership inference, and what the parts share.",
    ),
    "share": (
        "sharing",
        "Copies a set into a layout that other programs open, with a card, licences, and digests of all files.",
    ),
    "verify": (
        "sharing",
        "Checks a shared set: every file is held against its digest, and what is changed, missing or extra is named.",
    ),
    "drive": (
        "driving",
        "Lets agents drive in a built-in world, in a closed loop: what they decide changes what they see.",
    ),
    "doctor": (
        "doctor",
        "Shows what is installed and what each verb still needs; or checks a run folder, and repairs it.",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    given, flags = without_flags(sys.argv[1:] if arguments is None else arguments)
    follow_launcher()
    with showing(display_of(flags, is_first=is_first())), warnings_as_json() if LOG_JSON in flags else nullcontext():
        return _answer(given, flags)


def _answer(given: list[str], flags: list[str]) -> int:
    """The exit code of a command line without the door's own flags; whatever fails is one line."""
    fail = partial(_fail, as_json=LOG_JSON in flags)
    try:
        return _run(given, flags)
    except UserError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return fail("interrupted; run the same command to resume", code=130)
    except Exception as error:
        if lost_the_others(error):
            return 1
        if (said := of_system(error)) is None:
            raise
        name = getattr(error, "filename", None)
        return fail(said if name is None else f"{os.fsdecode(name)}: {said}")
    finally:
        _leave_group()
        _flush()


def _run(given: list[str], flags: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        _say(_help())
        return 0
    if given[0] == "--version":
        _say(f"roadstill {__version__}")
        return 0
    if given[0] == "--completion":
        from roadstill.cli.completion import script

        _say(script(" ".join(given[1:]), {verb: summary for verb, (_, summary) in VERBS.items()}))
        return 0
    verb, rest = given[0], given[1:]
    if verb not in VERBS:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "see roadstill --help"
        raise UserError(f"there is no verb {verb!r}; {hint}")
    rest, count = processes(rest)
    if count is not None and count > 1:
        return run_in_processes(verb, [*rest, *flags], count)
    if rest == ["--list"] and verb == "distil":
        _say(_list(verb))
        return 0
    check(verb, rest)
    began_s, values = time.monotonic(), dict[str, Any]()
    try:
        message = _call(verb, rest, values)
    except PartlyDone as done:
        _say(str(done))
        _end(verb, values, str(done), time.monotonic() - began_s, flags)
        return _fail(f"{done.first}; the rest is on disk", code=3, as_json=LOG_JSON in flags)
    if message:
        _say(message)
    _end(verb, values, message, time.monotonic() - began_s, flags)
    return 0


def _list(verb: str) -> str:
    """What there is to choose from, by ``--list``."""
    listed: Callable[[], str] = importlib.import_module(f"roadstill.verbs.{VERBS[verb][0]}").listed
    return listed()


def _leave_group() -> None:
    """Under torchrun: a process that ends without this may abort those that are still finishing."""
    if "WORLD_SIZE" in os.environ:
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def verb_function(verb: str) -> Callable[..., str | None]:
    """The function behind a verb."""
    found: Callable[..., str | None] = getattr(importlib.import_module(f"roadstill.verbs.{VERBS[verb][0]}"), verb)
    return found


def _call(verb: str, arguments: list[str], given: dict[str, Any]) -> str:
    from roadstill.cli.parser import call
    from roadstill.cli.trust import trusted

    function = verb_function(verb)
    with trusted(function, arguments) as rest:
        said = call(function, completed(function, rest), prog=f"roadstill {verb}", given=given)
    return said if isinstance(said, str) else ""


def _end(verb: str, given: dict[str, Any], said: str, took_s: float, flags: list[str]) -> None:
    """Tells how long a verb took, and which command comes next."""
    if QUIET in flags or not is_first():
        return
    from roadstill.cli.ending import next_of

    record = {"event": "end", "verb": verb, "seconds": round(took_s, 2), "said": said}
    (write_json if LOG_JSON in flags else write_line)(record | {"next": next_of(verb, given, said)})


def _help() -> str:
    lines = [f"  {verb:<10} {summary}" for verb, (_, summary) in VERBS.items()]
    return "\n".join(
        [
            "usage: roadstill <verb> [options]",
            "",
            "Distils a driving data set into a few images per class, and measures whether they beat real frames.",
            "",
            *lines,
            "",
            "roadstill <verb> --help shows a verb's options; every verb takes --config FILE.yaml.",
            "Options may be spelt with hyphens or underscores, and lists as 1 2 3 or 1,2,3.",
            "Code that a file names is imported only with --trust.",
            "roadstill --completion bash (or zsh, tcsh) prints what completes all this by the tab key.",
            "Progress goes to standard error: --quiet shows none, --log-json writes JSON lines.",
        ]
    )


def _say(text: str) -> None:
    """Prints, also to an output that lacks some letters; nobody has to read it to its end.

    Raises:
        UserError: what is printed cannot be kept, as where a file takes it on a full disk.
    """
    if sys.stdout is None or not is_first():  # the command was started without any output, or as one of several
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text = "\n".join(one_line(line) for line in text.split("\n"))
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)  # noqa: T201  the door may print
    except BrokenPipeError:
        _flush()
    except OSError as error:
        _flush()
        raise UserError(f"all is done, but the output cannot be written: {of_system(error)}") from None


def _flush() -> None:
    """Empties what was printed; where nothing takes it, it is dropped, or Python would complain at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stdout.flush()


def _fail(text: str, code: int = 2, *, as_json: bool = False) -> int:
    text = one_line(text)  # names of strangers' files stand in it
    if sys.stderr is None or told_launcher(text):
        return code
    if as_json:
        write_json({"event": "error", "code": code, "text": text})
        return code
    with suppress(OSError):
        print(f"roadstill: {text}", file=sys.stderr, flush=True)  # noqa: T201
    return code
