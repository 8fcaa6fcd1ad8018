"""The daemon's log on standard error: a line for people, or one JSON object a line.

Not the event log that operators read by `dnslbctl events`. A record may carry more than its
sentence: ``log.info("...", extra={"fields": {"zone": zone}})``.

Law: one record is one line, whatever stands in it, and no known secret is ever written.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from dnslb.daemon.secret import HIDDEN, Secret

LINE_LENGTH_MAX = 16_384
# A shorter one would black out ordinary words; it is still kept out of sentences by its type.
MASKED_LENGTH_MIN = 6
# These log headers and whole URLs, credentials among them; -dump-http is the redacted way.
_exchanges = logging.getLogger("dnslb.http")
_NOISY = ("httpx", "httpcore", "h11", "asyncio")


def set_up_logging(
    *,
    debug: bool = False,
    as_json: bool = False,
    secrets: Iterable[Secret] = (),
    stream: TextIO | None = None,
) -> None:
    """Sends all records to ``stream`` (standard error); may be called again at a reload."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter(secrets) if as_json else _LineFormatter(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("dnslb").setLevel(logging.DEBUG if debug else logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # A reader that went away is no reason for a traceback at each record.
    logging.raiseExceptions = False


def log_exchange(text: str) -> None:
    """What -dump-http wants to see: a request or an answer, a record for each of its lines."""
    for line in text.splitlines():
        _exchanges.info("%s", line)


class _Formatter(logging.Formatter):
    def __init__(self, secrets: Iterable[Secret]) -> None:
        super().__init__()
        texts = {secret.reveal() for secret in secrets}
        long_enough = (text for text in texts if len(text) >= MASKED_LENGTH_MIN)
        # The longest first: one may be a part of another.
        self._masked = sorted(long_enough, key=len, reverse=True)

    def _clean(self, value: object) -> str:
        """``value`` as text on one line, bounded, without secrets."""
        text = str(value)
        for secret in self._masked:
            text = text.replace(secret, HIDDEN)
        if not text.isprintable():
            text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
        return text if len(text) <= LINE_LENGTH_MAX else text[: LINE_LENGTH_MAX - 3] + "..."

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        found = getattr(record, "fields", None)
        if not isinstance(found, Mapping):
            return {}
        plain = (bool, int, float, type(None))
        return {
            self._clean(key): value if isinstance(value, plain) else self._clean(value)
            for key, value in found.items()
        }

    def _traceback(self, record: logging.LogRecord) -> list[str]:
        if not record.exc_info:
            return []
        return [self._clean(line) for line in self.formatException(record.exc_info).splitlines()]


class _LineFormatter(_Formatter):
    """``2026-01-31T12:00:00.000Z warning the sentence key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        sentence = self._clean(record.getMessage())
        fields = "".join(f" {key}={value}" for key, value in self._fields(record).items())
        first = f"{_at(record)} {record.levelname.lower()} {sentence}{fields}"
        return "\n    ".join([first, *self._traceback(record)])


class _JsonFormatter(_Formatter):
    """One object a line, with the keys of the Go programs and ``logger``."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": _at(record),
            "level": record.levelname.lower(),
            "msg": self._clean(record.getMessage()),
            "logger": record.name,
        }
        if fields := self._fields(record):
            entry["fields"] = fields
        if traceback := self._traceback(record):
            entry["traceback"] = traceback
        return json.dumps(entry, ensure_ascii=False, default=str)


def _at(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
