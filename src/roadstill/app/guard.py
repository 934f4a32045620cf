"""Who is answered: the browser of this machine, at this address, for the page and what belongs to it.

A server on 127.0.0.1 is out of reach of other machines, but not of other pages in the same browser. One may send
requests here, and one whose name was made to point to 127.0.0.1 (DNS rebinding) could even read the answers. So nothing
is answered but requests that name this very address as host and origin; and since Streamlit knows more routes than the
page needs (uploads, components, an interface for agents), those of the page alone are let through.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

HOST = "127.0.0.1"
_FILES = re.compile(r"/(static|media)/[\w./-]+")
_PAGES = ("/", "/favicon.png", "/_stcore/health", "/_stcore/host-config")
_STREAM = "/_stcore/stream"
_REFUSED = b"This page is for the browser of this machine, at the address that roadstill app printed.\n"


class Guard:
    """Wraps a server (ASGI): refuses strangers, and forbids the page to ask anybody else.

    Args:
        app: server behind it.
        port: port of the server.
        scripts: digests of the scripts within its page, as `digests_of` gives them.
    """

    def __init__(self, app: App, port: int, scripts: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = (f"{HOST}:{port}", f"localhost:{port}")
        self._headers = [
            (b"content-security-policy", policy(port, scripts).encode()),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or hands it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif not self.lets(scope):
            await _refuse(scope, send)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, self._with_headers(send))

    def lets(self, scope: Scope) -> bool:
        """Whether a request is the page's own."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or hosts[0] not in self._hosts or any(origin != f"http://{hosts[0]}" for origin in origins):
            return False
        path: str = scope["path"]
        if scope["type"] == "websocket":
            return path == _STREAM and len(origins) == 1  # browsers always tell it
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return False
        return path in _PAGES or (_FILES.fullmatch(path) is not None and ".." not in path)

    def _with_headers(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in self._headers}
                theirs = [pair for pair in message.get("headers", []) if pair[0].lower() not in ours]
                message = {**message, "headers": [*theirs, *self._headers]}
            await send(message)

        return sent


def policy(port: int, scripts: Sequence[str] = ()) -> str:
    """The content security policy: the page takes and asks nothing but from this server, and nobody frames it.

    Args:
        port: port of the server.
        scripts: digests of scripts that stand in the page itself.
    """
    own = " ".join(f"ws://{host}:{port}" for host in (HOST, "localhost"))
    allowed = " ".join(["'self'", *(f"'{digest}'" for digest in scripts)])
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {allowed}",
            "style-src 'self' 'unsafe-inline'",  # Streamlit writes its styles while it runs
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            f"connect-src 'self' {own}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def digests_of(page: str) -> list[str]:
    """Digests of the scripts that stand in a page, as a policy names them."""
    found = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    return [f"sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}" for each in found]


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    kind = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": 403, "headers": kind})
    await send({"type": "http.response.body", "body": _REFUSED})
