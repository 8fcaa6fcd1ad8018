"""What an answer of AutoDNS says: the envelope, and which error it is. Pure.

Decided by HTTP status and by codes, never by texts: those are in the account's language. Texts
are shown to people, bounded and without control characters.

Law: only HTTP 200 with ``status.type`` SUCCESS is a success. What cannot be understood is an
error, never "empty"; after a write it means that the outcome is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from dnslb.errors import (
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
    ProviderTemporary,
)

RECORD_MISSING, RECORD_PRESENT = "EF02021", "EF02022"
_STALE = frozenset({RECORD_MISSING, RECORD_PRESENT})
_ADVICE = {
    "EF01000": "a value is missing or wrong; a wrong -autodns-context shows like this, too",
    RECORD_MISSING: "a record that was to be removed is not there",
    RECORD_PRESENT: "a record that was to be added is there already",
}
_CODE = re.compile(r"[A-Z]{1,2}[0-9]{1,12}")
_STID = re.compile(r"[A-Za-z0-9._-]{1,64}")
TEXT_LENGTH_MAX, TEXT_SHOWN_MAX = 4096, 160
RETRY_AFTER_S_MAX = 300.0
SERVER_TROUBLE_S = 5.0
MESSAGES_MAX = 50
_DEPTH_MAX = 4


class CredentialsRejected(ProviderRefusal):
    """AutoDNS does not take user, password or context: no more calls until a person acts."""


class ZoneMissing(ProviderTemporary):
    """404: what was asked for is not there (any more) under the name that we know."""


class RateLimited(ProviderTemporary):
    """429: refused before anything was done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole. ``kind``: the envelope's ``status.type``, empty without an envelope.

    ``details``: the codes of all messages. ``summary``: hits in total, when it says so.
    ``lasting``: whether the connection stays open.
    """

    status: int
    kind: str = ""
    code: str = ""
    details: frozenset[str] = frozenset()
    text: str = ""
    stid: str = ""
    data: tuple[object, ...] = ()
    summary: int | None = None
    retry_after_s: float | None = None
    lasting: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_success(self) -> bool:
        return self.status == 200 and self.kind == "SUCCESS"

    def __str__(self) -> str:
        """For a sentence: ``HTTP 400, E0202002, EF02021 (what it says), stid …``."""
        parts = [f"HTTP {self.status}"]
        if self.code:
            parts.append(self.code)
        parts += sorted(self.details)
        shown = ", ".join(parts)
        if self.text:
            text = self.text
            cut = text if len(text) <= TEXT_SHOWN_MAX else f"{text[: TEXT_SHOWN_MAX - 3]}..."
            shown += f" ({cut})"
        return f"{shown}, stid {self.stid}" if self.stid else shown


def to_answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """``headers``: with names in lower case. Anything at all is an answer of some kind."""
    retry_after_s = _retry_after_s(headers.get("retry-after", ""))
    lasting = "close" not in headers.get("connection", "").lower()
    bare = Answer(status, retry_after_s=retry_after_s, lasting=lasting, headers=headers)
    try:
        whole = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bare
    if not isinstance(whole, dict) or not isinstance(whole.get("status"), dict):
        return bare
    said = whole["status"]
    messages = list(_messages(whole.get("messages"), 0))[:MESSAGES_MAX]
    texts = [_text(message.get("text")) for message in messages] + [_text(said.get("text"))]
    data, about = whole.get("data"), whole.get("object")
    summary = about.get("summary") if isinstance(about, dict) else None
    return Answer(
        status=status,
        kind=_matching(re.compile(r"[A-Z_]{1,32}"), said.get("type")),
        # The reference calls it code, an older page of the help resultCode.
        code=_matching(_CODE, said.get("code") or said.get("resultCode")),
        details=frozenset(_matching(_CODE, m.get("code")) for m in messages) - {""},
        text=next(filter(None, texts), ""),
        stid=_matching(_STID, whole.get("stid")),
        data=tuple(data) if isinstance(data, list) else (),
        summary=summary if isinstance(summary, int) and not isinstance(summary, bool) else None,
        retry_after_s=retry_after_s,
        lasting=lasting,
        headers=headers,
    )


def read_error(answer: Answer, what: str) -> ProviderError | None:
    """Why a request that changes nothing failed; None when it did not. ``what``: for the
    sentence, as in "reading example.org"."""
    if answer.is_success:
        return None
    if (known := _known_error(answer, what)) is not None:
        return known
    if answer.status >= 500 or answer.status == 408:
        return ProviderTemporary(
            f"AutoDNS is in trouble: {what} failed ({answer}); it is tried again.",
            answer.retry_after_s or SERVER_TROUBLE_S,
        )
    if 400 <= answer.status < 500:
        return _refusal(answer, what)
    return ProviderTemporary(
        f"AutoDNS gave no usable answer to {what} ({answer}); nothing is concluded from it.",
        answer.retry_after_s,
    )


def write_error(answer: Answer, what: str) -> ProviderError | None:
    """Why a write failed; None when it was accepted, or may have been: then the reading after
    it decides."""
    if answer.is_success:
        return None
    if (known := _known_error(answer, what)) is not None:
        return known
    if answer.status >= 500 or answer.status == 408:
        return OutcomeUnknown(
            f"AutoDNS is in trouble: {what} was answered by {answer}, so whether it was done is "
            "not known; the zone is read again."
        )
    if answer.status == 200 and answer.kind not in ("", "ERROR"):
        return None
    if answer.status < 300 and not answer.kind:
        return OutcomeUnknown(
            f"AutoDNS gave no usable answer to {what} ({answer}), so whether it was done is not "
            "known; the zone is read again."
        )
    if answer.details & _STALE:
        return ProviderConflict(
            f"AutoDNS did not take {what}, since {_advice(answer)} ({answer}): the zone is not "
            "as it was read; it is read again."
        )
    return _refusal(answer, what)


def _known_error(answer: Answer, what: str) -> ProviderError | None:
    """What means the same for reads and writes: nothing was done."""
    if answer.status == 429:
        return RateLimited(
            f"AutoDNS answered {what} with 'too many requests' ({answer}): somebody else calls it "
            "from the same address; waiting.",
            answer.retry_after_s,
        )
    if answer.status in (401, 403):
        return CredentialsRejected(
            f"AutoDNS rejected the credentials at {what} ({answer}): check -autodns-username, "
            "-autodns-password, -autodns-context, whether the password has expired and whether "
            "the account is limited to other addresses. No more calls are made until dnslb is "
            "reloaded or restarted, so that the account is not locked."
        )
    if answer.status == 404:
        return ZoneMissing(f"AutoDNS knows nothing of what {what} is about ({answer}).")
    if 300 <= answer.status < 400:
        return ProviderRefusal(
            f"AutoDNS answered {what} with a redirection ({answer}), which is not followed with "
            "credentials: check -autodns-url."
        )
    return None


def _refusal(answer: Answer, what: str) -> ProviderRefusal:
    advice = _advice(answer)
    why = f": {advice}" if advice else ""
    return ProviderRefusal(f"AutoDNS refused {what} ({answer}){why}.")


def _advice(answer: Answer) -> str:
    return "; ".join(_ADVICE[code] for code in sorted(answer.details & _ADVICE.keys()))


def _messages(found: object, depth: int) -> Iterator[Mapping[str, object]]:
    """All of them, those within others included."""
    if not isinstance(found, list) or depth > _DEPTH_MAX:
        return
    for message in found[:MESSAGES_MAX]:
        if isinstance(message, dict):
            yield message
            yield from _messages(message.get("messages"), depth + 1)


def _matching(pattern: re.Pattern[str], found: object) -> str:
    return found if isinstance(found, str) and pattern.fullmatch(found) else ""


def _text(found: object) -> str:
    if not isinstance(found, str):
        return ""
    bounded = found[:TEXT_LENGTH_MAX]
    return " ".join("".join(c if c.isprintable() else " " for c in bounded).split())


def _retry_after_s(text: str) -> float | None:
    """Seconds alone (RFC 9110 10.2.3 also allows a date, which needs a clock that agrees)."""
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return None
    return min(float(text), RETRY_AFTER_S_MAX)
