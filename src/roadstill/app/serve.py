"""Serves the page of one run on 127.0.0.1 until it is stopped."""

import socket
from collections.abc import Callable
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from roadstill.app.guard import HOST, Guard, digests_of
from roadstill.app.play import wait_for_drawing
from roadstill.errors import UserError, of_system
from roadstill.runs import scratch_folder

_PACKAGES = ("streamlit", "starlette", "uvicorn")
# Streamlit's settings; what files and variables say of these does not count.
SETTINGS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "browser.serverAddress": HOST,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "global.developmentMode": False,
    "runner.magicEnabled": False,
    "server.address": HOST,
    "server.allowRunOnSave": False,
    "server.baseUrlPath": "",
    "server.enableAgentApi": False,
    "server.enableStaticServing": False,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": 1,
    "secrets.files": [],
}
_SCRIPT = """from pathlib import Path

from roadstill.app.page import show

show(Path({run!r}), Path({typed!r}), trusted={trusted!r})
"""


def require_extra() -> None:
    """Looks for the packages of the page before any work.

    Raises:
        UserError: one is not installed.
    """
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise UserError(f'the page needs an extra ({package} is missing): pip install "roadstill[app]"')


def serve(run: Path, *, port: int, say: Callable[[str], None], trusted: bool = False) -> None:
    """Shows a run in the browser until Ctrl-C.

    Args:
        run: the run folder.
        port: port on 127.0.0.1; 0 for any that is free.
        say: takes the address once it can be opened.
        trusted: whether models that the run's files name may be fetched.

    Raises:
        UserError: the extra is not installed, or the port is taken.
    """
    require_extra()
    with closing(_listening(port)) as listening, scratch_folder() as folder:
        at: int = listening.getsockname()[1]
        script = folder / "page.py"  # Streamlit runs a file for every view; beside it lies nothing to import
        code = _SCRIPT.format(run=str(run.resolve()), typed=str(run), trusted=trusted)
        script.write_text(code, encoding="utf-8")
        server = _server(script, at)
        say(f"http://{HOST}:{at}")
        with suppress(KeyboardInterrupt):  # which uvicorn raises again when all is closed
            server.run(sockets=[listening])
        wait_for_drawing()


def _listening(port: int) -> socket.socket:
    """A socket that already takes connections, so that the address works as soon as it is told."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((HOST, port))
        found.listen()
    except OSError as error:
        found.close()
        said = str(of_system(error)).partition(";")[0]
        raise UserError(f"port {port} of {HOST}: {said}; give another one with --port, or 0 for any free one") from None
    return found


def _server(script: Path, port: int) -> Any:
    """Streamlit behind our guard; neither settings nor secrets of the working folder are read."""
    import uvicorn
    from starlette.middleware import Middleware
    from streamlit import config, file_util
    from streamlit.starlette import App

    # Files of a folder named .streamlit would choose fonts and addresses, and secrets become variables of this process.
    config.get_config_files = lambda name: []
    config.get_config_options(force_reparse=True, options_from_flags=SETTINGS)
    page = Path(file_util.get_static_dir(), "index.html").read_text(encoding="utf-8")
    app = App(script, middleware=[Middleware(Guard, port=port, scripts=digests_of(page))])
    return uvicorn.Server(
        uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, server_header=False, proxy_headers=False)
    )
