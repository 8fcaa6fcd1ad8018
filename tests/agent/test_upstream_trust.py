"""Who trusts whom: certificates that are refused on either side, and that this is named."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from dnslb.net.tls import (
    TlsFiles,
    server_context,
)
from tests.agent.loopback import Stage, fails, serve
from tests.doubles.healthd import GoHealthd


@pytest.fixture
def authorities(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
async def healthd(authorities: Stage, nursery: trio.Nursery) -> GoHealthd:
    one = GoHealthd(authorities.server_files, ["tcp://10.0.0.1:80"])
    await nursery.start(one.serve)
    return one


async def test_a_server_of_another_ca_is_not_believed(
    authorities: Stage, healthd: GoHealthd
) -> None:
    files = authorities.authority.issue(common_name="fra-1", trusting=authorities.stranger)
    sentence, reached = await fails(authorities.upstream(healthd.url, files))
    assert sentence == "the peer's certificate is refused: it comes from an unknown CA"
    assert not reached


async def test_a_server_with_another_name_is_not_believed(
    authorities: Stage, nursery: trio.Nursery
) -> None:
    healthd = GoHealthd(authorities.authority.issue("192.0.2.1", name="elsewhere"), [])
    await nursery.start(healthd.serve)
    sentence, _ = await fails(authorities.upstream(healthd.url))
    assert sentence == "the peer's certificate is refused: it is for another address"


def no_certificate(stage: Stage) -> TlsFiles:
    return TlsFiles(ca=stage.authority.ca_file)


def foreign_certificate(stage: Stage) -> TlsFiles:
    return stage.stranger.issue(common_name="fra-1", trusting=stage.authority)


def expired_certificate(stage: Stage) -> TlsFiles:
    return stage.authority.issue(common_name="fra-1", expired=True)


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("files", "pattern"),
    [
        (no_certificate, "the peer requires a certificate|the peer accepted none of"),
        (foreign_certificate, "our certificate was refused by the peer: it does not know our CA"),
        (expired_certificate, "our certificate was refused by the peer: expired"),
    ],
)
async def test_a_refused_certificate_is_named(
    authorities: Stage,
    nursery: trio.Nursery,
    tls: ssl.TLSVersion,
    files: Callable[[Stage], TlsFiles],
    pattern: str,
) -> None:
    async def speak(stream: trio.SSLStream[trio.SocketStream], number: int) -> None:
        raise AssertionError("the handshake cannot succeed")

    url = await serve(nursery, authorities.server_files, speak, tls)
    sentence, reached = await fails(authorities.upstream(url, files(authorities)))
    # The alert may be lost to a reset; then only the hang-up is seen.
    assert re.fullmatch(f"{pattern}|.* hung up .* may have refused our certificate", sentence)
    assert not reached


async def test_a_name_that_the_certificate_lacks_is_named(
    authorities: Stage, healthd: GoHealthd
) -> None:
    files = authorities.authority.issue(common_name="ams-1")
    sentence, reached = await fails(authorities.upstream(healthd.url, files))
    assert sentence == "refuses agent 'fra-1' (403): agent name and certificate do not match"
    assert reached
    await authorities.aclose()


def refuse_once(sock: socket.socket, context: ssl.SSLContext) -> None:
    """A blocking server, as OpenSSL and Go behave: it tells why it refuses a certificate."""
    connection, _ = sock.accept()
    with connection, connection.dup() as unwrapped:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)
        # Read to the end: closing earlier would reset the connection, and the alert with it.
        unwrapped.settimeout(10)
        while unwrapped.recv(10_000):
            pass


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("files", "pattern"),
    [
        (no_certificate, "the peer (requires a certificate and got none|accepted none of .*)"),
        (foreign_certificate, "our certificate was refused by the peer: it does not know our CA"),
        (expired_certificate, "our certificate was refused by the peer: expired"),
    ],
)
async def test_the_reason_for_a_refused_certificate_is_told_where_the_server_gives_one(
    authorities: Stage,
    nursery: trio.Nursery,
    tls: ssl.TLSVersion,
    files: Callable[[Stage], TlsFiles],
    pattern: str,
) -> None:
    context = server_context(authorities.server_files)
    context.maximum_version = tls
    with socket.create_server(("127.0.0.1", 0)) as sock:
        async with trio.open_nursery() as serving:
            serving.start_soon(trio.to_thread.run_sync, refuse_once, sock, context)
            upstream = authorities.upstream(
                f"https://127.0.0.1:{sock.getsockname()[1]}/", files(authorities)
            )
            sentence, reached = await fails(upstream)
            await upstream.aclose()
    assert re.fullmatch(pattern, sentence)
    assert not reached
