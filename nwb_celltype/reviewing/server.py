"""The page's server: static page, units, decisions; on this machine only, and only for who knows the secret."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from nwb_celltype.errors import CellTypeError, InputError, UsageError
from nwb_celltype.reporting.page import asset
from nwb_celltype.reviewing.access import Access
from nwb_celltype.reviewing.sessions import MOST_EVENTS, ReviewSession

if TYPE_CHECKING:
    from fastapi import FastAPI

MOST_BYTES = 4 * 1024 * 1024
"""Size of a request."""
TOKEN_HEADER = "x-review-token"

_SCRIPTS = ("outbox.js", "unit_list.js", "pair_view.js", "agreement_view.js", "review.js")
_STYLES = ("review.css",)
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Guard:
    """Stands before every request; what it lets through comes from the page of this server.

    Parameters
    ----------
    app : ASGI application
    access : Access
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":  # no web sockets here
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        status, why = self._problem(scope)
        if not status:
            await self._app(scope, receive, send_guarded)
            return
        body = f"{why}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await send_guarded({"type": "http.response.start", "status": status, "headers": headers})
        await send_guarded({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _problem(self, scope: Scope) -> tuple[int, str]:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts, origins = headers.get("host", []), headers.get("origin", [])
        if len(hosts) != 1 or not self._access.is_host(hosts[0]):
            return 421, "This server answers to 127.0.0.1 and localhost only."
        if any(not self._access.is_origin(origin) for origin in origins):
            return 403, "Requests of other pages are refused."
        is_read = scope["method"] in ("GET", "HEAD")
        if not is_read and len(origins) != 1:
            return 403, "Requests that write must come from the page."
        if is_read and scope["path"].startswith("/static/"):
            return 0, ""  # the same for everybody: nothing of the file is in it
        if is_read and scope["path"] == "/":
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        else:
            given = headers.get(TOKEN_HEADER, [])
        if len(given) != 1 or not self._access.is_token(given[0]):
            return 403, "The secret is missing or old: open the address that `nwb-celltype review` printed."
        if not is_read:
            lengths = headers.get("content-length", [])
            if len(lengths) != 1 or not lengths[0].isdigit():
                return 411, "The length of the request is not stated."
            if int(lengths[0]) > MOST_BYTES:
                return 413, "The request is too long."
            if headers.get("content-type", [""])[0].partition(";")[0].strip().lower() != "application/json":
                return 415, "Only JSON is taken."
        return 0, ""


def make_app(session: ReviewSession, access: Access) -> Guard:
    """Make the application that serves one review.

    Parameters
    ----------
    session : ReviewSession
    access : Access

    Returns
    -------
    Guard
        An ASGI application.

    Raises
    ------
    UsageError
        If the libraries of the server are not installed.

    Examples
    --------
    >>> app = make_app(session, access)  # doctest: +SKIP
    """
    try:
        from fastapi import FastAPI, Request
        from fastapi.responses import JSONResponse, Response
    except ImportError as error:
        raise UsageError(MISSING) from error

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    static = _static()

    @app.exception_handler(CellTypeError)
    async def tell(_: Request, error: Exception) -> Response:
        status = 422 if isinstance(error, UsageError) else 507 if isinstance(error, InputError) else 409
        return JSONResponse({"error": str(error)}, status)

    @app.get("/static/{name}")
    def part(name: str) -> Response:
        if name not in static:
            return Response("There is no such file.\n", media_type="text/plain", status_code=404)
        content, kind = static[name]
        return Response(content, media_type=kind)

    @app.get("/")
    def page() -> Response:
        return part("review.html")

    _add_routes(app, session)
    return Guard(app, access)


def _add_routes(app: FastAPI, session: ReviewSession) -> None:
    from fastapi import Body
    from fastapi.responses import Response

    def answer(content: Any) -> Response:
        # NaN is no JSON; names that files hold may be anything, so nothing is escaped by hand
        return Response(json.dumps(content, allow_nan=False), media_type="application/json")

    @app.get("/api/review")
    def overview() -> Response:
        return answer(session.overview())

    @app.get("/api/units")
    def units(first: int = 0, n: int = 25) -> Response:
        return answer(session.units(first, min(n, 200)))

    @app.get("/api/state")
    def state(since: int = 0) -> Response:
        return answer(session.state(max(since, 0)))

    @app.post("/api/events")
    def record(content: dict[str, Any] = Body()) -> Response:  # noqa: B008  FastAPI's way
        events = content.get("events")
        is_list = isinstance(events, list) and len(events) <= MOST_EVENTS
        if not is_list or not all(isinstance(one, dict) for one in events or []):
            message = f"A list of at most {MOST_EVENTS} events is needed."
            raise UsageError(message)
        refused = session.record(events or [])
        since = content.get("since", 0)
        return answer({**session.state(since if isinstance(since, int) and since > 0 else 0), "refused": refused})

    @app.post("/api/save")
    def save(content: dict[str, Any] = Body()) -> Response:  # noqa: B008
        saved = session.save()
        since = content.get("since", 0)
        found = session.state(since if isinstance(since, int) and since > 0 else 0)
        return answer({**found, "file_name": str(saved.file), "run": saved.run.name, "is_new": saved.is_new})

    @app.get("/api/runs")
    def runs() -> Response:
        return answer(session.run_names())

    @app.post("/api/agreement")
    def agreement(content: dict[str, Any] = Body()) -> Response:  # noqa: B008
        names = content.get("runs")
        return answer(session.agreement([str(name) for name in names] if isinstance(names, list) else None))


MISSING = "The review needs fastapi and uvicorn: pip install 'nwb-celltype[review]'."


def _static() -> dict[str, tuple[str, str]]:
    """Page, scripts and styles by name, with their media types; the panels are those of the report."""
    own = files("nwb_celltype.reviewing").joinpath("static")
    found = {name: (asset(name), "text/javascript") for name in ("drawing.js", "panels.js")}
    found["panels.css"] = (asset("panels.css"), "text/css")
    found |= {name: (own.joinpath(name).read_text(encoding="utf-8"), "text/javascript") for name in _SCRIPTS}
    found |= {name: (own.joinpath(name).read_text(encoding="utf-8"), "text/css") for name in _STYLES}
    found["review.html"] = (own.joinpath("review.html").read_text(encoding="utf-8"), "text/html")
    return found
