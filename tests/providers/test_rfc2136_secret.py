"""Whatever goes wrong, and whoever looks: the TSIG secret is shown to nobody."""

from __future__ import annotations

import base64
import logging
import traceback
from functools import partial

import dns.name
import dns.tsig
import pytest
import trio

from dnslb.errors import ProviderError
from dnslb.providers.rfc2136 import Rfc2136Provider
from dnslb.providers.rfc2136_errors import Server
from dnslb.providers.rfc2136_key import TsigKey, parse_key
from dnslb.providers.rfc2136_link import ServerLink
from dnslb.providers.rfc2136_wire import dns_key, query, signed
from tests.providers.rfc2136_peer import Behave, Peer, close, keep_silent, say
from tests.providers.rfc2136_stage import NEXT, TOKEN, WWW, ZONE, a, fence_of, provider_on, write
from tests.system.named import KEY, NamedZone, StartNamed

SECRET = b"\xfbquite-secret\xff"
ALGORITHM = "hmac-sha256"
WRONG = TsigKey("dnslb-key", ALGORITHM, SECRET)


def assert_silent(text: str, secret: bytes = SECRET) -> None:
    """In none of the forms in which it could be shown."""
    forms = [base64.b64encode(secret).decode(), repr(secret)[2:-1], secret.hex()]
    forms += [form[:8] for form in forms]
    assert [form for form in forms if form in text] == []


def shown(error: BaseException) -> str:
    """All that a traceback tells, with the values of all variables."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(told.format())


def test_no_repr_shows_it() -> None:
    server = Server("ns.test", 53, WRONG)
    link = ServerLink(server)
    provider = Rfc2136Provider(("ns.test", 53), WRONG, "tests")
    parsed = parse_key(
        f'key dnslb-key {{ algorithm {ALGORITHM}; secret "{base64.b64encode(SECRET).decode()}"; }};'
    )
    assert parsed == WRONG
    for value in (WRONG, parsed, server, link, provider, vars(link), vars(provider)):
        assert_silent(f"{value!r} {value!s} {value}")


def test_dnspythons_key_is_kept_quiet() -> None:
    """Should the first half fail, dnspython is quiet by itself, and ours can go."""
    name = dns.name.from_text(WRONG.name)
    with pytest.raises(AssertionError):
        assert_silent(repr(dns.tsig.Key(name, SECRET, ALGORITHM)))
    assert_silent(repr(dns_key(WRONG)))


def test_no_request_shows_it() -> None:
    request = signed(query(ZONE, "SOA", 7), WRONG, 0.0)
    assert SECRET not in request.wire
    assert_silent(repr(request))


async def test_no_error_and_no_log_shows_it(
    named: StartNamed, caplog: pytest.LogCaptureFixture
) -> None:
    server = named(NamedZone(ZONE, "www A 192.0.2.1\n"), zone_defaults="")
    names = frozenset(f"n{i}.{ZONE}" for i in range(50))
    caplog.set_level(logging.DEBUG)
    for key in (WRONG, TsigKey("nobody", ALGORITHM, SECRET), KEY):
        async with provider_on(server, key) as provider:
            acts = [
                provider.find_zone(WWW),
                provider.read(ZONE, names, scan=True),
                fence_of(provider).take(ZONE, TOKEN),
                fence_of(provider).take(ZONE, NEXT._replace(owner_id="others")),
                write(provider, a(WWW, "192.0.2.2"), token=NEXT),
            ]
            for act in acts:
                try:
                    await act
                except ProviderError as error:
                    assert_silent(shown(error), key.secret)
    assert "allow-transfer" in caplog.text
    for secret in (SECRET, KEY.secret):
        assert_silent(caplog.text, secret)


@pytest.mark.parametrize(
    "behave",
    [close, keep_silent, say(id_change=1), say(signed_by=KEY), say(tsig_error=17)],
    ids=["close", "silent", "id", "signature", "key"],
)
async def test_no_broken_exchange_shows_it(
    mock_time: None, nursery: trio.Nursery, behave: Behave
) -> None:
    peer = Peer(nursery, behave, WRONG)
    link = peer.link(WRONG)
    async with link.visit() as visit:
        with pytest.raises(ProviderError) as asked:
            await visit.ask(partial(query, ZONE, "SOA"))
    async with link.visit() as visit:
        with pytest.raises(ProviderError) as sent:
            await visit.send(link.sign(partial(query, ZONE, "SOA")))
    for error in (asked.value, sent.value):
        assert_silent(shown(error))
