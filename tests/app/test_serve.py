"""The server: for this machine's browser alone, deaf to settings of the working folder, ended by Ctrl-C."""

import http.client
import importlib.util
import socket
import subprocess
import sys

import pytest
from made_app import served
from made_run import fake_run

from roadstill.app import serve
from roadstill.app.serve import _listening, require_extra
from roadstill.cli import main
from roadstill.errors import UserError

needs_extra = pytest.mark.skipif(importlib.util.find_spec("streamlit") is None, reason="needs the extra app")


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """The page of a run, started in a folder whose settings and secrets are somebody else's."""
    folder = tmp_path_factory.mktemp("served")
    fake_run(folder / "run")
    hostile(folder)
    with served(folder / "run", folder) as found:
        yield found


ASKS = """
import os
from pathlib import Path
from roadstill.app.serve import SETTINGS, _server

_server(Path("asks.py").resolve(), 1)
from streamlit import config
from streamlit.runtime.secrets import secrets_singleton

secrets_singleton.load_if_toml_exists()
wrong = {name: value for name, value in SETTINGS.items() if config.get_option(name) != value}
print(wrong, config.get_option("theme.primaryColor"), config.get_option("server.enableCORS"), os.environ.get("TAKEN"))
"""


def hostile(folder):
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "config.toml").write_text(
        '[server]\nenableAgentApi = true\nenableStaticServing = true\naddress = "0.0.0.0"\nenableCORS = false\n'
        '[theme]\nprimaryColor = "#123456"\n'
    )
    (folder / ".streamlit" / "secrets.toml").write_text('TAKEN = "yes"\n')


def status(up, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=60)
    connection.putrequest(method, path, skip_host="host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode("latin-1")
    connection.close()
    assert "root:" not in text
    return answer.status


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="streamlit is missing"):
        require_extra()
    assert main(["app", str(fake_run(tmp_path / "run"))]) == 2
    said = capsys.readouterr()
    line = 'roadstill: the page needs an extra (streamlit is missing): pip install "roadstill[app]"\n'
    assert (said.out, said.err) == ("", line)


def test_it_listens_on_this_machine_alone():
    with _listening(0) as found:
        host, port = found.getsockname()
        assert host == "127.0.0.1"
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass
        with pytest.raises(UserError, match=rf"port {port} of 127\.0\.0\.1: .*; give another one with --port"):
            _listening(port)


@needs_extra
def test_other_addresses_of_this_machine_lead_nowhere(up):
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", up.port), timeout=10)


@needs_extra
@pytest.mark.parametrize(
    "path",
    [
        "/file=/etc/passwd", "/gradio_api/file=/etc/passwd", "/etc/passwd", "/../../../../etc/passwd",
        "/static/../../../../../../etc/passwd", "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2f..%2fetc/passwd", "/static/../.streamlit/secrets.toml", "/media//etc/passwd",
        "/media/../recipe.yaml", "/recipe.yaml", "/sets/train/set.json", "/app/static/page.py",
        "/component/../../etc/passwd", "/_stcore/agent/openapi.json", "/_stcore/metrics",
    ],
)  # fmt: skip
def test_no_file_is_given_out(up, path):
    assert status(up, path) in (403, 404)


@needs_extra
def test_the_page_is_given_to_its_own_address_and_takes_nothing(up):
    assert status(up, "/") == 200
    assert status(up, "/", host=f"localhost:{up.port}") == 200
    assert status(up, "/", host="evil.example") == 403
    assert status(up, "/", host=f"evil.example:{up.port}") == 403
    assert status(up, "/", Origin="http://evil.example") == 403
    assert status(up, "/_stcore/upload_file/a/b", "PUT") == 403
    assert status(up, "/", "POST") == 403


@needs_extra
def test_a_stream_is_opened_from_the_page_alone(up):
    ask = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    ask |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    own = f"http://127.0.0.1:{up.port}"
    assert status(up, "/_stcore/stream", **ask) == 403
    assert status(up, "/_stcore/stream", **ask, Origin="http://evil.example") == 403
    assert status(up, "/_stcore/stream", **ask, Origin=own, host="evil.example") == 403


@needs_extra
def test_settings_and_secrets_of_the_working_folder_do_not_count(tmp_path):
    hostile(tmp_path)
    (tmp_path / "asks.py").write_text(ASKS)
    done = subprocess.run([sys.executable, "asks.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "{} None True None\n", done.stderr


@needs_extra
def test_ctrl_c_ends_it_with_0(up):
    assert up.stop() == (0, "stopped\n", "")
