"""Several processes for one command, as torchrun starts them; a mistake of the user's stands once and last."""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Sequence

from roadstill.errors import UserError

FLAG = "--processes"
HELP = "Number of processes on this machine that share the work; under torchrun it says so instead."
VERBS = ("pretrain", "finetune", "generate")
_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
_OTHERS_WAIT_S = 20.0
_MOST = 1024


def processes(arguments: Sequence[str]) -> tuple[list[str], int | None]:
    """The arguments without ``--processes N``, and N.

    Raises:
        UserError: N is no whole number above 0.
    """
    rest, count = [], None
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != FLAG:
            rest.append(word)
            continue
        value = value if equals else next(words, "")
        if not (value.isdecimal() and len(value) < 5 and 0 < int(value) <= _MOST):
            raise UserError(f"{FLAG} is {value[:40]!r}; it must be a whole number, at least 1 and at most {_MOST:,}")
        count = int(value)
    return rest, count


def run_in_processes(verb: str, arguments: Sequence[str], count: int) -> int:
    """Runs a verb in several processes and returns the exit code of the first that failed, 0 if none did.

    Raises:
        UserError: what that process says; a verb that works in one process only.
    """
    if verb not in VERBS:
        raise UserError(f"{FLAG} is for {', '.join(VERBS)}; leave it out with {verb}")
    if "WORLD_SIZE" in os.environ:
        raise UserError(f"torchrun has started the processes already; leave out {FLAG}")
    import logging

    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from roadstill.parallel import spawning

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what it says, we say in one line
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=f"roadstill-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        with spawning():
            elastic_launch(config, sys.executable)("-m", "roadstill", verb, *arguments)
    except SignalException:  # Ctrl-C, too
        raise KeyboardInterrupt from None
    except ChildFailedError as failed:
        for each in failed.failures.values():  # the one that speaks may have been ended before it could end itself
            if isinstance(said := each.error_file_data["message"], dict):
                raise UserError(said["message"]) from None
        _, first = failed.get_first_failure()
        if first.exitcode < 0:
            raise UserError(
                f"a process was ended by signal {-first.exitcode}, perhaps for lack of memory; run the same command to "
                "resume"
            ) from None
        return first.exitcode
    return 0


def told_launcher(line: str) -> bool:
    """Hands a line to the launcher that started this process, if one did; it shows it when all have ended.

    The first process speaks for all: the others wait a moment, in which the launcher ends them if the first has failed.
    """
    if _ERROR_FILE not in os.environ:
        return False
    if not is_first():
        time.sleep(_OTHERS_WAIT_S)
    about = {"py_callstack": f"roadstill: {line}", "timestamp": str(int(time.time()))}
    with open(os.environ[_ERROR_FILE], "w", encoding="utf-8") as file:
        json.dump({"message": {"message": line, "extraInfo": about}}, file)
    return True


def lost_the_others(error: BaseException) -> bool:
    """Whether this process failed because another one has ended, which speaks; the launcher gets time to see that."""
    if _ERROR_FILE not in os.environ or not re.search("Connection (closed|reset) by peer|Broken pipe", str(error)):
        return False
    time.sleep(_OTHERS_WAIT_S)
    return True


def is_first() -> bool:
    """Whether this is the first of several processes, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def follow_launcher() -> None:
    """Ends this process when the launcher that started it is gone: a killed one cannot."""
    if _ERROR_FILE in os.environ:
        threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()


def _follow(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(1)
    os._exit(1)
