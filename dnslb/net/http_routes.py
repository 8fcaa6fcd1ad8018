"""Which handler answers which path: a table, and the two errors of missing it."""

from __future__ import annotations

from collections.abc import Mapping

from dnslb.net.http_message import Handler, HttpError, Request, Response


class Routes:
    """Handlers by method and path; itself a handler.

    A path ending in ``/*`` stands for everything below it; the longest match wins. HEAD is
    answered by GET's handler. Raises `HttpError` 404, or 405 with the methods that there are.
    """

    def __init__(self, handlers: Mapping[tuple[str, str], Handler]) -> None:
        self._by_path: dict[str, dict[str, Handler]] = {}
        for (method, path), handler in handlers.items():
            if not path.startswith("/"):
                raise ValueError(f"a path begins with a slash, not like {path!r}")
            self._by_path.setdefault(path, {})[method] = handler

    async def __call__(self, request: Request) -> Response:
        by_method = self._find(request.path)
        if by_method is None:
            raise HttpError(404, "There is nothing here.")
        method = "GET" if request.method == "HEAD" else request.method
        handler = by_method.get(method)
        if handler is None:
            allowed = {*by_method, *(["HEAD"] if "GET" in by_method else [])}
            allow = ", ".join(sorted(allowed))
            raise HttpError(405, f"Only {allow} can be done here.", (("allow", allow),))
        return await handler(request)

    def _find(self, path: str) -> dict[str, Handler] | None:
        found = self._by_path.get(path)
        while found is None and path:
            path = path.rpartition("/")[0]
            found = self._by_path.get(f"{path}/*")
        return found
