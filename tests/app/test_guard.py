"""The guard without a server behind it: who is let through, and what every answer carries."""

import asyncio

import pytest

from roadstill.app.guard import Guard, digests_of, policy

HERE = "127.0.0.1:8611"
OURS = [("host", HERE)]
STREAM = {"kind": "websocket", "path": "/_stcore/stream"}


def asked(path="/", headers=OURS, *, kind="http", method="GET"):
    """What comes back, and whether the server behind the guard was reached."""
    sent, reached = [], []

    async def app(scope, receive, send):
        reached.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Referrer-Policy", b"unsafe-url")]})

    async def send(message):
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": kind, "path": path, "headers": pairs} | ({"method": method} if kind == "http" else {})
    asyncio.run(Guard(app, 8611)(scope, None, send))
    return sent, bool(reached)


@pytest.mark.parametrize(
    "path",
    ["/", "/favicon.png", "/_stcore/health", "/_stcore/host-config", "/static/js/index.DormvYxC.js", "/media/0ab.png"],
)
@pytest.mark.parametrize("host", [HERE, "localhost:8611"])
def test_the_page_and_what_belongs_to_it_is_answered(path, host):
    assert asked(path, [("host", host)])[1]


@pytest.mark.parametrize(
    "path",
    [
        "/file=/etc/passwd", "/etc/passwd", "/static/../../etc/passwd", "/static/..", "/media/../recipe.yaml",
        "//static/a", "/static/a\\..\\b", "/static/a\x00", "/_stcore/upload_file/a/b", "/_stcore/agent/interact",
        "/_stcore/metrics",
        "/component/a/b", "/_stcore/bidi-components/a", "/app/static/a", "/auth/login", "/sets", "/static",
    ],
)  # fmt: skip
def test_no_other_path_is_let_through(path):
    sent, reached = asked(path)
    assert (sent[0]["status"], reached) == (403, False)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_is_taken(method):
    assert asked("/", method=method)[0][0]["status"] == 403


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "evil.example")],
        [("host", "evil.example:8611")],
        [("host", "127.0.0.1")],
        [("host", "127.0.0.1:8612")],
        [("host", "127.0.0.1:8611.evil.example")],
        [("host", HERE), ("host", "evil.example")],
        [("host", HERE), ("origin", "http://evil.example")],
        [("host", HERE), ("origin", "null")],
        [("host", HERE), ("origin", "https://127.0.0.1:8611")],
    ],
)
def test_strangers_are_refused(headers):
    assert not asked("/", headers)[1]
    assert asked(headers=headers, **STREAM) == ([{"type": "websocket.close", "code": 1008}], False)


def test_a_stream_is_opened_by_the_page_alone():
    own = [("host", HERE), ("origin", f"http://{HERE}")]
    assert asked(headers=own, **STREAM)[1]
    assert not asked(headers=OURS, **STREAM)[1]
    assert not asked("/_stcore/other", own, kind="websocket")[1]


def test_an_answer_forbids_the_page_to_ask_anybody_else():
    (start,), _ = asked()
    headers = dict(start["headers"])
    assert headers[b"content-security-policy"].decode() == policy(8611)
    assert headers[b"referrer-policy"] == b"no-referrer"
    assert b"Referrer-Policy" not in headers  # what stood there before
    sources = [word for part in policy(8611).split("; ") for word in part.split()[1:]]
    assert [word for word in sources if "://" in word] == ["ws://127.0.0.1:8611", "ws://localhost:8611"]
    assert "*" not in policy(8611)


def test_scripts_of_the_page_are_named_by_their_digests():
    page = "<script>\n  a = 1\n</script><script type='module' src='b.js'></script><script></script>"
    first, second = digests_of(page)
    assert second == "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="  # of nothing
    assert f"script-src 'self' '{first}' '{second}';" in policy(1, [first, second])


def test_the_life_of_the_server_passes():
    assert asked(kind="lifespan")[1]
