"""Who is heard by the receiver: certificates, names, and the agents that are configured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing

from dnslb.net.http_limits import Refusal
from dnslb.net.tls import TlsFiles, client_context
from tests.sources.receiver_stage import HTTP, SIX, TCP, Stage, running, status


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with running(Stage(tmp_path, HTTP, TCP, SIX)) as one:
        yield one


# ---------------------------------------------------------------------------------- who is heard


async def test_a_name_in_the_certificates_dns_names_will_do(stage: Stage) -> None:
    files = stage.authority.issue("ams-1.example.org", common_name="something else")
    async with stage.client(files, "ams-1.example.org") as client:
        assert (await client.post("", json=[])).status_code == 200
    assert stage.reports[0].agent == "ams-1.example.org"


async def test_nobody_speaks_for_another(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    files = stage.authority.issue(common_name="ams-1.example.org")
    async with stage.client(files, "fra-1") as client:
        for _ in range(2):
            answer = await client.post("", json=[])
            assert answer.status_code == 403
            assert answer.text == "The certificate is not for agent fra-1.\n"
    assert stage.reports == []
    assert stage.receiver.counters["refused_wrong_name"] == 2
    (record,) = caplog.records
    assert record.getMessage().endswith(
        "calls itself agent fra-1, but its certificate is for ams-1.example.org: refused"
    )


async def test_a_request_without_a_name_is_answered_400(stage: Stage) -> None:
    async with stage.client(name=None) as client:
        assert (await client.get("")).status_code == 400
        assert (await client.get("", headers={"X-Agent-Name": ""})).status_code == 400
    assert stage.receiver.counters["refused_no_name"] == 2


async def test_two_names_are_no_name(stage: Stage) -> None:
    async with stage.client(name=None) as client:
        headers = [("X-Agent-Name", "fra-1"), ("X-Agent-Name", "fra-1")]
        assert (await client.post("", headers=headers, json=[])).status_code == 403


@pytest.mark.parametrize("name", ["monitors", "fra-2"])
async def test_only_configured_agents_are_heard(
    stage: Stage, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Not even the name under which healthd keeps its monitor list."""
    async with stage.client(stage.authority.issue(common_name=name), name) as client:
        for _ in range(3):
            answer = await client.post("", json=[status(HTTP, False)])
            assert answer.status_code == 403
            assert answer.text == f"Agent {name} is not configured here.\n"
        (record,) = caplog.records
        assert f"agent {name} (" in record.getMessage()
        stage.agents = stage.agents | {name}
        assert (await client.post("", json=[status(HTTP, False)])).status_code == 200
        stage.agents = stage.agents - {name}
        assert (await client.get("")).status_code == 403
    assert stage.receiver.counters["refused_not_configured"] == 4
    assert [report.agent for report in stage.reports] == [name]


# ------------------------------------------------------------------------ who gets no connection


def no_certificate(stage: Stage) -> TlsFiles:
    return TlsFiles(ca=stage.authority.ca_file)


def foreign_certificate(stage: Stage) -> TlsFiles:
    return stage.stranger.issue(common_name="fra-1", trusting=stage.authority)


def expired_certificate(stage: Stage) -> TlsFiles:
    return stage.authority.issue(common_name="fra-1", expired=True)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (no_certificate, "the peer showed no certificate"),
        (foreign_certificate, "the peer's certificate is refused: it comes from an unknown CA"),
        (expired_certificate, "the peer's certificate is refused: it has expired"),
    ],
)
async def test_without_a_good_certificate_there_is_no_request(
    stage: Stage,
    caplog: pytest.LogCaptureFixture,
    files: Callable[[Stage], TlsFiles],
    sentence: str,
) -> None:
    async with stage.client(files(stage)) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("")
    await stage.wait_refused(Refusal.HANDSHAKE_FAILED)
    assert stage.receiver.http.requests == 0
    (record,) = caplog.records
    assert record.getMessage().endswith(f": {sentence}")


async def test_a_renewed_certificate_is_picked_up(stage: Stage) -> None:
    async def serial() -> object:
        context = client_context(stage.authority.issue(common_name="fra-1"))
        address = ("127.0.0.1", stage.receiver.port)
        stream = await trio.open_ssl_over_tcp_stream(*address, ssl_context=context)
        await stream.do_handshake()
        found = stream.getpeercert()
        await trio.aclose_forcefully(stream)
        assert isinstance(found, dict)
        return found["serialNumber"]

    first = await serial()
    assert await serial() == first
    stage.authority.issue("127.0.0.1", "localhost", name="server")
    assert await serial() != first
