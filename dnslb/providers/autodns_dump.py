"""What `-dump-http` shows of a call: enough to see what was said, nothing that opens a door. Pure.

Law: headers are shown by name from a list, all others as ``***``; bodies of private calls are
not shown at all; and whatever is shown at last has every known secret taken out, in each form
in which it travels, in case the other end repeats it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, quote_plus

Dump = Callable[[str], None]
"""Gets one text for each request and each answer; it may have several lines."""

HIDDEN = "***"
BODY_LENGTH_MAX = 8192
_SHOWN = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "date",
        "host",
        "retry-after",
        "transfer-encoding",
        "user-agent",
        "x-domainrobot-context",
        "x-domainrobot-ctid",
    }
)


class Redactor:
    """``secrets``: what must not be seen, as plain text. ``private``: hides the bodies whole."""

    def __init__(self, secrets: Iterable[str], *, private: bool = False) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        # The longest first: one may be a part of another.
        self._forms = sorted(forms, key=len, reverse=True)
        self._private = private

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> str:
        return self._show(f"> {method} {url}", headers, body)

    def response(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        return self._show(f"< {status}", headers, body)

    def clean(self, text: str) -> str:
        """``text`` without the secrets."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def _show(self, first: str, headers: Mapping[str, str], body: bytes) -> str:
        mark = first[0]
        lines = [first]
        lines += [
            f"{mark} {name.lower()}: {value if name.lower() in _SHOWN else HIDDEN}"
            for name, value in headers.items()
        ]
        if body:
            lines.append(f"{mark} {HIDDEN}" if self._private else f"{mark} {self._body(body)}")
        return "\n".join(_plain(self.clean(line)) for line in lines)

    def _body(self, body: bytes) -> str:
        # Cut only after the secrets are out: half of one is a secret, too.
        text = self.clean(body.decode(errors="replace"))
        if len(text) <= BODY_LENGTH_MAX:
            return text
        return f"{text[:BODY_LENGTH_MAX]}... ({len(body)} bytes in all)"


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield quote_plus(secret)


def _plain(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
