"""The marker of a zone: the fencing token as text in a TXT record, and who may follow whom. Pure.

``dnslb owner=example-eu epoch=1767225600 term=7 nonce=9f1c2a`` at ``_dnslb.<zone>``. How it is
written, and whether atomically, is each provider's own.

Law (`safety.md` 2): what cannot be read as a token is an error, never "no marker"; a token is
followed only by a higher (epoch, term) of the same owner id, by the singleton's next run, or by
whoever a person named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from dnslb.errors import FenceLost, InvalidValue, ProviderConflict, ProviderRefusal
from dnslb.model.lease import FencingToken
from dnslb.model.names import marker_name

TEXT_BYTES_MAX = 255
"""One character-string of a TXT record (RFC 1035 3.3)."""
# The most that still fits 63 bits, so that no reader of another kind trips over it.
_NUMBER = "(0|[1-9][0-9]{0,17})"
_TOKEN = re.compile(
    rf"dnslb owner=([A-Za-z0-9._~%-]+) epoch={_NUMBER} term={_NUMBER} nonce=([A-Za-z0-9._~%-]+)"
)
SINGLETON_TERM = 0


def to_text(token: FencingToken) -> str:
    """``token`` as one TXT string: printable ASCII without quotes or backslashes, so that no
    zone file, API or log has to escape it. Raises `InvalidValue` when it is too long."""
    owner, nonce = quote(token.owner_id, safe=""), quote(token.nonce, safe="")
    text = f"dnslb owner={owner} epoch={token.epoch} term={token.term} nonce={nonce}"
    if len(text) > TEXT_BYTES_MAX:
        raise InvalidValue(
            f"the marker of owner id {token.owner_id!r} would have {len(text)} characters; a TXT "
            f"string holds {TEXT_BYTES_MAX}: choose a shorter owner-id"
        )
    if not _TOKEN.fullmatch(text):
        raise InvalidValue(f"no marker can be made of {token!r}: an owner id or a nonce is empty")
    return text


def from_text(text: str) -> FencingToken:
    """The inverse of `to_text`; raises `InvalidValue` for anything that it would not write."""
    found = _TOKEN.fullmatch(text)
    if found is not None:
        owner, epoch, term, nonce = found.groups()
        token = FencingToken(unquote(owner), int(epoch), int(term), unquote(nonce))
        # One token has one spelling: who compares texts and who compares tokens must agree.
        if to_text(token) == text:
            return token
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    raise InvalidValue(
        f"{shown!r} is no marker; 'dnslb owner=ID epoch=N term=N nonce=HEX' was expected"
    )


def newest(zone: str, texts: Iterable[str]) -> FencingToken | None:
    """The newest of the markers that stand in ``zone``; None when there is none. Raises
    `ProviderRefusal` for what is no token, and when none tells whose the zone is."""
    where = f"at {marker_name(zone)} ('dnslb fence reset {zone}' removes what stands there)"
    tokens: set[FencingToken] = set()
    for text in texts:
        try:
            tokens.add(from_text(text))
        except InvalidValue as error:
            raise ProviderRefusal(f"The TXT record {where}: {error}.") from error
    if not tokens:
        return None
    held = max(tokens, key=lambda token: (token.epoch, token.term))
    rivals = [
        token
        for token in tokens - {held}
        if token.owner_id != held.owner_id or token[1:3] == held[1:3]
    ]
    if rivals:
        owners = " and ".join(sorted({token.owner_id for token in (held, *rivals)}))
        raise ProviderRefusal(
            f"The TXT records {where} are by several writers ({owners}), and none is the newer "
            "one: nothing is written."
        )
    return held


def check_write(zone: str, held: FencingToken | None, token: FencingToken) -> None:
    """Whether ``token`` may write while the marker holds ``held``: only if they are the same.

    Raises `ProviderRefusal` for a foreign owner id, `FenceLost` for anything else.
    """
    if held == token:
        return
    if held is None:
        raise FenceLost(
            f"The marker of {zone} is gone: somebody removed it after this instance took it. "
            "Nothing was written; it is taken again with the next lease."
        )
    _check_owner(zone, held, token, over=None)
    raise FenceLost(
        f"The marker of {zone} names another writer of {held.owner_id!r} (epoch {held.epoch}, "
        f"term {held.term}; ours: epoch {token.epoch}, term {token.term}): nothing was written."
    )


def check_take(
    zone: str, held: FencingToken | None, token: FencingToken, over: str | None = None
) -> None:
    """Whether ``token`` may replace ``held``. ``over``: the foreign owner id that a person named.

    Raises `ProviderRefusal` for a foreign owner id, `FenceLost` when ours is not the newer one.
    """
    if held is None or held == token:
        return
    if held.owner_id != token.owner_id:
        _check_owner(zone, held, token, over)
        return
    before, now = (held.epoch, held.term), (token.epoch, token.term)
    if before < now or (before == now and token.term == SINGLETON_TERM):
        return
    raise FenceLost(
        f"The marker of {zone} is held by a writer of {held.owner_id!r} that is not older than "
        f"this one (epoch {held.epoch}, term {held.term}; ours: epoch {token.epoch}, term "
        f"{token.term}): nothing is written. If that writer is gone for good, 'dnslb fence reset "
        f"{zone}' removes its marker."
    )


def check_reset(zone: str, held: FencingToken | None, only: FencingToken | None) -> None:
    """Whether ``held`` may be removed by who means ``only``; None means whatever stands there.

    Raises `ProviderConflict`.
    """
    if only is not None and held is not None and held != only:
        raise ProviderConflict(
            f"The marker of {zone} is another one by now (owner id {held.owner_id!r}, epoch "
            f"{held.epoch}, term {held.term}), so it was left as it is."
        )


def _check_owner(zone: str, held: FencingToken, token: FencingToken, over: str | None) -> None:
    if held.owner_id not in (token.owner_id, over):
        raise ProviderRefusal(
            f"The zone {zone} belongs to the owner id {held.owner_id!r}, this installation's is "
            f"{token.owner_id!r}; nothing is written. 'dnslb adopt {zone}' takes it over, when "
            "nobody else writes it any more."
        )
