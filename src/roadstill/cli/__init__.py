"""The door: `roadstill <verb>`.

Exit codes: 0 done, 2 the user's mistake (one line says which), 1 our fault, 3 done with what could be read.

Verbs are typed functions under `roadstill.verbs`; a verb's module is imported only when that verb is called, so that
``roadstill --help`` answers at once.
"""

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from roadstill import __version__
from roadstill.cli.spelling import completed
from roadstill.errors import PartlyDone, UserError

__all__ = ["VERBS", "completed", "main", "verb_function"]

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("whole", "Runs the whole road on the built-in synthetic world: data, distilled sets, verdict, report."),
    "run": ("whole", "Runs a recipe: all verbs in order, skipping what already lies on disk."),
    "study": (
        "whole",
        "Runs the recipes of a study and puts what they found into one table beside the thesis' figures.",
    ),
    "report": ("whole", "Writes report.html of a run folder."),
    "world": ("data", "Makes a built-in driving world: synthetic logs, maps and pictures in NAVSIM's layout."),
    "index": ("data", "Reads driving logs into a table of frames, filters them and splits them by drive."),
    "prepare": ("data", "Cuts the wanted pictures to size: one image set each for train, dev and test."),
    "encode": ("generator", "Encodes an image set into latents."),
    "pretrain": ("generator", "Trains a codec or a base generator from scratch."),
    "finetune": (
        "generator",
        "Fine-tunes a generator on latents with adapters and minimax criteria, or trains one from scratch.",
    ),
    "generate": ("generator", "Generates an image set from a checkpoint: a few images per class."),
    "refine": ("generator", "Moves a small set's latents until training on it pulls an agent where all frames would."),
    "export": (
        "generator",
        "Writes a generator for others: as a diffusers folder, or as one safetensors file in the original layout.",
    ),
    "params": ("generator", "Prints how many parameters a backbone has and how many each adapter trains."),
    "bench": ("bench", "Times a part against a plainly written baseline in the same run and prints ratios."),
    "select": ("picking", "Picks images: the baselines of every distilled set, or the best of many generated ones."),
    "train": ("judge", "Trains a driving agent on an image set."),
    "evaluate": ("judge", "Measures a trained agent on an image set."),
    "compare": ("judge", "Judges small sets against a baseline with paired seeds, and says it in words."),
    "doctor": (
        "doctor",
        "Looks what is installed, which weights and driving data are here, and what each verb still needs.",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        _say(_help())
        return 0
    if given[0] == "--version":
        _say(f"roadstill {__version__}")
        return 0
    verb, rest = given[0], given[1:]
    if verb not in VERBS:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "see roadstill --help"
        return _fail(f"there is no verb {verb!r}; {hint}")
    try:
        message = _call(verb, rest)
    except UserError as error:
        return _fail(str(error))
    except PartlyDone as done:
        _say(str(done))
        return _fail("part of the input could not be read; what could is on disk", code=3)
    except KeyboardInterrupt:
        return _fail("stopped by the keyboard; the same command goes on from what is on disk", code=130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        _leave_group()
    if message:
        _say(message)
    return 0


def _leave_group() -> None:
    """Under torchrun: a process that just ends may abort those that still say goodbye."""
    if "WORLD_SIZE" in os.environ:
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def verb_function(verb: str) -> Callable[..., str | None]:
    """The function behind a verb."""
    found: Callable[..., str | None] = getattr(importlib.import_module(f"roadstill.verbs.{VERBS[verb][0]}"), verb)
    return found


def _call(verb: str, arguments: list[str]) -> str | None:
    from roadstill.cli.parser import call

    function = verb_function(verb)
    result = call(function, completed(function, arguments), prog=f"roadstill {verb}")
    return result if isinstance(result, str) else None


def _help() -> str:
    lines = [f"  {verb:<10} {summary}" for verb, (_, summary) in VERBS.items()]
    return "\n".join(
        [
            "usage: roadstill <verb> [options]",
            "",
            "Distils a driving data set into a few images per class, and says honestly whether they beat real frames.",
            "",
            *lines,
            "",
            "roadstill <verb> --help shows a verb's options; every verb takes --config FILE.yaml.",
        ]
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the door may print


def _fail(text: str, code: int = 2) -> int:
    print(f"roadstill: {text}", file=sys.stderr, flush=True)  # noqa: T201
    return code
