"""In front of the server: what is not for this machine's own browser is turned away, and nothing leads elsewhere."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
HOSTS = ("localhost", "127.0.0.1")
# A browser that keeps this asks no other machine, whatever a page of this server says.
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware: hosts, lengths of requests, headers of answers."""

    def __init__(self, app: App, lengths: dict[str, int], other: int) -> None:
        """Keep the limits.

        Args:
            app: what answers.
            lengths: by path, bytes of a request's body.
            other: bytes of a body of any other path.
        """
        self.app, self.lengths, self.other = app, lengths, other

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or turn it away."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = self._refusal(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        if status:
            await send_guarded({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.app(scope, receive, send_guarded)

    def _refusal(self, scope: Message) -> int:
        """The status that turns a request away, 0 for none."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        # Another name that leads here is a stranger's page, and so is another origin.
        origin = urlsplit(headers.get("origin", "")).hostname
        if urlsplit(f"//{headers.get('host', '')}").hostname not in HOSTS:
            return 403
        if "origin" in headers and origin not in HOSTS:
            return 403
        if scope["method"] in ("GET", "HEAD"):
            return 0
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return 411
        return 413 if int(length) > self.lengths.get(scope["path"], self.other) else 0
