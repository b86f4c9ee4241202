"""Who may ask the page of `dbdflow look`: programs of this machine, and a browser that shows this very page.

A page from elsewhere cannot read it, not even where its name is made to mean this machine (DNS rebinding: `Host` says
by which name it was asked for), and cannot send to it (`Origin` says from where a page sends).
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.system.environment import LOOPBACK

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:"
ALWAYS = {
    "Content-Security-Policy": f"{POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""Headers of every answer: nothing comes from the network, nothing of it is shown in another page."""


class Guard:
    """An application behind these rules."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(ALWAYS)
            await send(message)

        app = refusal(scope["method"], Headers(scope=scope)) or self.app
        await app(scope, receive, with_headers)


def refusal(method: str, headers: Headers) -> Response | None:
    """The answer to a request that is not ours to serve; None if it is."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if host.partition(":")[0] not in LOOPBACK:
        text = f"Host {host!a}: expected {' or '.join(LOOPBACK)}; open the address that `dbdflow look` printed\n"
        return PlainTextResponse(text, 421)
    if method not in {"GET", "HEAD"} and origin not in {None, f"http://{host}"}:
        return PlainTextResponse(f"Origin {origin!a}: another page may not send photographs here\n", 403)
    return None
