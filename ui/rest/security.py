"""Who may talk to the studio: pure ASGI gates around everything it serves, the mounted page and WebSockets included.

- A web page of another origin can neither submit work nor read events (`SameOrigin`).
- A studio that listens beyond this machine wants its access token (`AccessToken`).
"""

import re
import secrets
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.core.error import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE = "easel_access"


def problem_response(status: int, problem: Problem) -> JSONResponse:
    """The one envelope of every error over HTTP."""
    return JSONResponse({"error": problem.model_dump()}, status_code=status)


def is_foreign(origin: str | None, host: str) -> bool:
    """Whether a browser says the request comes from a page of another site.

    Programs that are no browsers send no Origin and are no cross-site danger; `null` (sandboxed frames, files) is
    foreign.
    """
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != host
    except ValueError:  # no address at all
        return True


async def refuse(status: int, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers an HTTP request with the problem, and closes a WebSocket before it opens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": problem.problem})
    else:
        await problem_response(status, problem)(scope, receive, send)


class KnownHost:
    """Refuses host names that are not ours: a foreign name that points at this machine is DNS rebinding."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self.app, self.hosts = app, frozenset(host.casefold() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_known(Headers(scope=scope).get("host", "")):
            await self.app(scope, receive, send)
            return
        problem = Problem(problem="This address is not the studio's", fix="open the address it printed when it started")
        await refuse(400, problem, scope, receive, send)

    def _is_known(self, host: str) -> bool:
        name = re.sub(r":[0-9]*$", "", host)  # an IPv6 address keeps its own colons, inside brackets
        return name.casefold() in self.hosts


class SameOrigin:
    """Refuses what changes something, and every WebSocket, when it comes from another site's page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not self._refused(scope):
            await self.app(scope, receive, send)
            return
        problem = Problem(problem="This request comes from another website", fix="use the studio's own page")
        await refuse(403, problem, scope, receive, send)

    def _refused(self, scope: Scope) -> bool:
        if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
            return False
        headers = Headers(scope=scope)
        return is_foreign(headers.get("origin"), headers.get("host", ""))


class AccessToken:
    """Lets in who holds the token: as `?token=` once (it then becomes a cookie), or as `Authorization: Bearer`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._holds_token(Headers(scope=scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and self._equals(self._asked(scope)):
            await self._welcome(scope)(scope, receive, send)
        else:
            problem = Problem(
                problem="This studio asks for its access token", fix="open the address it printed when it started"
            )
            await refuse(401, problem, scope, receive, send)

    def _holds_token(self, headers: Headers) -> bool:
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return self._equals(cookie) or self._equals(bearer)

    def _equals(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())

    def _asked(self, scope: Scope) -> str:
        query: bytes = scope["query_string"]
        return parse_qs(query.decode("latin-1")).get("token", [""])[0]

    def _welcome(self, scope: Scope) -> Response:
        response = RedirectResponse(scope["path"], status_code=303)
        response.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
        return response
