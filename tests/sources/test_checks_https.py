"""The https check: whom it believes, and what it says of those it does not."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
import trio
import trustme

from dnslb.model.loadbalancer import Monitor
from dnslb.net.tls import TlsFiles
from dnslb.sources.checks import http
from dnslb.sources.checks.result import CheckFailed, CheckResult
from dnslb.sources.checks.trust import Trust
from tests.sources import endpoints

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
AUTHORITY = trustme.CA()
STRANGER = trustme.CA()
ANSWER = endpoints.answering(OK)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    path = tmp_path_factory.mktemp("trust") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return Trust(TlsFiles(ca=path))


def shown(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


async def checked(
    trust: Trust,
    certificate: trustme.LeafCert,
    host_header: str | None = None,
    serve: endpoints.Serve = ANSWER,
) -> CheckResult:
    async with endpoints.serving(serve, shown(certificate)) as port:
        monitor = Monitor("https", "127.0.0.1", port, host_header=host_header)
        return await http.check(monitor, trust.context())


async def test_a_certificate_for_the_address(trust: Trust) -> None:
    result = await checked(trust, AUTHORITY.issue_cert("127.0.0.1"))
    assert result == (True, "success", 0.0)


async def test_a_certificate_for_the_host_header(trust: Trust) -> None:
    certificate = AUTHORITY.issue_cert("www.example.org")
    assert (await checked(trust, certificate, "www.example.org")).healthy
    assert (await checked(trust, certificate, "www.example.org:8443")).healthy


async def test_the_host_header_is_the_server_name_sent(trust: Trust) -> None:
    context = shown(AUTHORITY.issue_cert("www.example.org", "127.0.0.1"))
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)
    async with endpoints.serving(endpoints.answering(OK), context) as port:
        for host_header in ("www.example.org", None):
            monitor = Monitor("https", "127.0.0.1", port, host_header=host_header)
            assert (await http.check(monitor, trust.context())).healthy
    assert names == ["www.example.org", None]


@pytest.mark.parametrize(
    ("certificate", "host_header", "why"),
    [
        (AUTHORITY.issue_cert("127.0.0.2"), None, "it is for another address"),
        (AUTHORITY.issue_cert("www.example.org"), None, "it is for another address"),
        (
            AUTHORITY.issue_cert("127.0.0.1"),
            "www.example.org",
            "it is for another host name",
        ),
        (STRANGER.issue_cert("127.0.0.1"), None, "it comes from an unknown CA"),
        (
            AUTHORITY.issue_cert(
                "127.0.0.1", not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
            ),
            None,
            "it has expired",
        ),
    ],
)
async def test_a_certificate_that_is_refused(
    trust: Trust, certificate: trustme.LeafCert, host_header: str | None, why: str
) -> None:
    assert await checked(trust, certificate, host_header) == (False, f"certificate: {why}", 0.0)


async def test_an_endpoint_without_tls(trust: Trust) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await stream.receive_some(10)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with endpoints.serving(serve) as port:
        result = await http.check(Monitor("https", "127.0.0.1", port), trust.context())
    assert result == (False, "the peer does not speak TLS", 0.0)


@pytest.mark.parametrize("before_handshake", [True, False])
async def test_an_endpoint_that_hangs_up(trust: Trust, before_handshake: bool) -> None:
    certificate = AUTHORITY.issue_cert("127.0.0.1")

    async def leave(stream: trio.abc.Stream) -> None:
        if not before_handshake:
            await stream.receive_some(4096)

    result = await checked(trust, certificate, serve=leave)
    assert result == (False, "hung up before answering", 0.0)


async def test_a_host_header_that_cannot_be_a_server_name_is_our_mistake(trust: Trust) -> None:
    result = await checked(trust, AUTHORITY.issue_cert("127.0.0.1"), ".example.org")
    assert result.healthy is None
    assert result.message.startswith("not checked: host-header '")


def test_a_ca_file_that_cannot_be_read_proves_nothing_of_any_endpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed) as caught:
        Trust(TlsFiles(ca=tmp_path / "missing.pem")).context()
    assert caught.value.result.healthy is None
    assert "missing.pem cannot be read" in caught.value.result.message


def test_a_machine_that_trusts_nobody_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with pytest.raises(CheckFailed) as caught:
        Trust().context()
    assert caught.value.result == (
        None,
        "not checked: this machine has no CA certificates",
        0.0,
    )


async def test_to_prepare_reads_the_files_again(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    trust = Trust(TlsFiles(ca=path))
    await trust.prepare()
    with pytest.raises(CheckFailed):
        trust.context()
    AUTHORITY.cert_pem.write_to_path(path)
    with pytest.raises(CheckFailed):
        trust.context()
    await trust.prepare()
    assert trust.context().cert_store_stats()["x509_ca"] == 1
