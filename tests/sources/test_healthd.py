"""The receiver over real mutual TLS on loopback: who is heard, what they are answered, and that
nobody else is hurt."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing

from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.net.clock import Clock
from dnslb.net.http_limits import Limits, Refusal
from dnslb.net.listen import ListenError
from dnslb.net.tls import TlsError, TlsFiles, client_context
from dnslb.net.watchable import Watchable
from dnslb.sources.healthd import LIMITS, POSITION_SETTLES_S, HealthdReceiver
from dnslb.sources.healthd_codec import MONITORS_TYPE, STATUSES_BYTES_MAX
from tests.doubles.pki import Authority

HTTP = Monitor("http", "10.0.0.1", 80)
TCP = Monitor("tcp", "10.0.0.1", 80)
SIX = Monitor("tcp", "2001:db8::1", 443)
BLANK = {"IP": "", "Port": 0, "Healthy": False, "Message": "", "DidChange": False}


def monitor_list(*monitors: Monitor) -> MonitorList:
    return MonitorList(monitors, tuple(range(len(monitors))))


def status(monitor: Monitor, healthy: bool, **more: object) -> dict[str, object]:
    found = {"IP": monitor.host, "Port": monitor.port, "Healthy": healthy}
    return {**found, "Message": "", "DidChange": False, **more}


class Stage:
    """A receiver, what it delivers, and what it needs to be spoken to."""

    def __init__(self, directory: Path, *monitors: Monitor, limits: Limits = LIMITS) -> None:
        self.authority = Authority(directory / "ca")
        self.stranger = Authority(directory / "stranger")
        self.server_files = self.authority.issue("127.0.0.1", "localhost", name="server")
        self.agents = {"fra-1", "ams-1.example.org"}
        self.monitors = Watchable(monitor_list(*monitors))
        self.reports: list[Report] = []
        self.clock = Clock()
        self.receiver = HealthdReceiver(
            host="127.0.0.1",
            port=0,
            files=self.server_files,
            agents=lambda: self.agents,
            clock=self.clock,
            limits=limits,
        )

    async def deliver(self, report: Report) -> None:
        self.reports.append(report)
        await trio.lowlevel.checkpoint()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.receiver.port}/"

    def client(
        self, files: TlsFiles | None = None, name: str | None = "fra-1"
    ) -> httpx.AsyncClient:
        files = files or self.authority.issue(common_name="fra-1")
        headers = {} if name is None else {"X-Agent-Name": name}
        return httpx.AsyncClient(
            verify=client_context(files), trust_env=False, base_url=self.url, headers=headers
        )

    async def wait_refused(self, kind: Refusal) -> None:
        while not self.receiver.http.refused[kind]:  # noqa: ASYNC110  # a counter has no event
            await trio.sleep(0.001)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with running(Stage(tmp_path, HTTP, TCP, SIX)) as one:
        yield one


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Stage]:
    await stage.receiver.open()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.receiver.run, stage.deliver, stage.monitors)
            yield stage
            nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------- what is answered


async def test_the_old_list_is_for_all_that_do_not_ask_for_more(stage: Stage) -> None:
    async with stage.client() as client:
        for accept in ("*/*", "application/json", ""):
            answer = await client.get("any/path", headers={"Accept": accept})
            assert answer.status_code == 200
            assert answer.json() == ["http://10.0.0.1:80", "tcp://10.0.0.1:80"]


async def test_the_rich_list_is_for_those_that_ask(stage: Stage) -> None:
    async with stage.client() as client:
        accept = f"application/json;q=0.5, {MONITORS_TYPE}"
        answer = await client.get("", headers={"Accept": accept})
    assert answer.headers["content-type"] == MONITORS_TYPE
    assert [one["url"] for one in answer.json()] == [HTTP.url, TCP.url, SIX.url]
    assert [one["id"] for one in answer.json()] == [HTTP.id, TCP.id, SIX.id]


async def test_what_old_agents_never_see_is_named_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.client() as client:
        await client.get("")
        await client.get("")
    (record,) = caplog.records
    assert record.getMessage() == (
        "agent fra-1 understands only the old list, which leaves out 1 monitors: "
        "tcp://[2001:db8::1]:443"
    )


async def test_a_post_becomes_a_report_stamped_when_it_arrived(stage: Stage) -> None:
    before = stage.clock.now()
    async with stage.client() as client:
        await client.get("")
        body = [status(HTTP, False, Message="status code is `503`"), status(TCP, True)]
        answer = await client.post("", json=body)
    after = stage.clock.now()
    assert (answer.status_code, answer.content) == (200, b"")
    (report,) = stage.reports
    assert report.agent == "fra-1"
    assert report.monitors is stage.monitors.value
    assert report.votes == bytes([DOWN, UP, UNKNOWN])
    assert report.messages == {0: "status code is `503`"}
    assert report.complete
    assert report.via == "receiver"
    assert before.mono <= report.arrived_mono <= after.mono
    assert before.wall <= report.arrived_wall <= after.wall
    assert (report.age_s, report.sent_wall, report.stored) == (0.0, None, False)


async def test_a_rich_post_goes_by_id(stage: Stage) -> None:
    async with stage.client() as client:
        body = [status(SIX, True, id=SIX.id), {**BLANK, "id": HTTP.id}]
        headers = {"Content-Type": f"{MONITORS_TYPE}; charset=utf-8"}
        answer = await client.post("", content=json.dumps(body), headers=headers)
    assert answer.status_code == 200
    assert stage.reports[0].votes == bytes([UNKNOWN, UNKNOWN, UP])
    assert not stage.reports[0].complete


async def test_an_unchanged_post_is_a_fresh_report_with_the_same_votes(stage: Stage) -> None:
    async with stage.client() as client:
        for _ in range(3):
            await client.post("", json=[status(HTTP, True)])
        await client.post("", json=[status(HTTP, True, DidChange=True)])
    first, second, third, fourth = stage.reports
    assert first.arrived_mono < second.arrived_mono < third.arrived_mono < fourth.arrived_mono
    assert first.votes is second.votes is third.votes is fourth.votes
    assert stage.receiver.counters["posts"] == 4
    assert stage.receiver.counters["unchanged"] == 2


async def test_order_means_something_only_to_those_that_fetched_this_list(stage: Stage) -> None:
    """HTTP and TCP share an address. After the two change places in the configuration, an agent
    that has not fetched the new list must not have its votes swapped."""
    async with stage.client() as client:
        body = [status(HTTP, False), status(TCP, True)]
        await client.post("", json=body)
        assert stage.reports[-1].votes == bytes([UNKNOWN, UNKNOWN, UNKNOWN])
        await client.get("")
        await client.post("", json=body)
        assert stage.reports[-1].votes == bytes([DOWN, UP, UNKNOWN])
        stage.monitors.set(monitor_list(TCP, HTTP))
        while True:
            await client.post("", json=body)
            if len(stage.reports[-1].votes) == 2:
                break
        assert stage.reports[-1].votes == bytes([UNKNOWN, UNKNOWN])
        await client.get("")
        await client.post("", json=[status(TCP, True), status(HTTP, False)])
        assert stage.reports[-1].votes == bytes([UP, DOWN])


async def test_a_reload_without_a_change_keeps_what_is_known(stage: Stage) -> None:
    async with stage.client() as client:
        await client.get("")
        stage.monitors.set(monitor_list(HTTP, TCP, SIX))
        await trio.testing.wait_all_tasks_blocked()
        await client.post("", json=[status(HTTP, False), status(TCP, True)])
    assert stage.reports[-1].votes == bytes([DOWN, UP, UNKNOWN])


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


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_are_answered_400(stage: Stage, method: str) -> None:
    async with stage.client() as client:
        assert (await client.request(method, "", content=b"[]")).status_code == 400
    assert stage.receiver.counters["refused_method"] == 1


@pytest.mark.parametrize("size", [0, STATUSES_BYTES_MAX + 1])
async def test_the_length_has_bounds(stage: Stage, size: int) -> None:
    async with stage.client() as client:
        answer = await client.post("", content=b"[" + b" " * (size - 2) + b"]" if size else b"")
    assert answer.status_code == 400
    assert answer.text == "Expected a body of 1 to 1000000 bytes.\n"


async def test_the_longest_body_is_taken(stage: Stage) -> None:
    async with stage.client() as client:
        body = b"[" + b" " * (STATUSES_BYTES_MAX - 2) + b"]"
        assert (await client.post("", content=body)).status_code == 200


async def test_what_is_longer_by_far_is_not_even_read(stage: Stage) -> None:
    async with stage.client() as client:
        answer = await client.post("", content=b" " * 2_000_000)
    assert answer.status_code == 413


async def test_a_malformed_post_changes_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.client() as client:
        await client.post("", json=[status(HTTP, True)])
        for _ in range(2):
            answer = await client.post("", json=[status(HTTP, True), {"IP": 1}])
            assert answer.status_code == 400
            assert answer.text == "status 2, IP: expected str, got int\n"
        await client.post("", json=[status(HTTP, True)])
    assert len(stage.reports) == 2
    assert stage.reports[0].votes is stage.reports[1].votes
    assert stage.receiver.counters["refused_malformed"] == 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING


async def test_an_agent_that_asks_too_often_is_put_off(stage: Stage) -> None:
    async with stage.client() as client:
        answers = [(await client.get("")).status_code for _ in range(40)]
        assert answers[:20] == [200] * 20
        assert 429 in answers
        assert (await client.post("", json=[])).status_code == 200


async def test_a_burst_of_posts_ends_with_the_newest(stage: Stage) -> None:
    """As a Go agent behaves in a mass failure: one POST per endpoint, all at once."""
    async with stage.client() as client, trio.open_nursery() as nursery:

        async def post(healthy: bool) -> None:
            assert (await client.post("", json=[status(HTTP, healthy)])).status_code == 200

        for _ in range(100):
            nursery.start_soon(post, True)
    async with stage.client() as client:
        assert (await client.post("", json=[status(HTTP, False)])).status_code == 200
    assert stage.reports[-1].votes[0] == DOWN
    assert len(stage.reports) < 101
    arrivals = [report.arrived_mono for report in stage.reports]
    assert arrivals == sorted(arrivals)


# ------------------------------------------------------------------------------ hostile clients

HARSH = replace(LIMITS, handshake_s=0.2, header_s=0.2, body_s=0.2, linger_s=0.1)


async def raw(stage: Stage) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", stage.receiver.port)


async def encrypted(stage: Stage) -> trio.SSLStream[trio.SocketStream]:
    context = client_context(stage.authority.issue(common_name="fra-1"))
    address = ("127.0.0.1", stage.receiver.port)
    stream = await trio.open_ssl_over_tcp_stream(*address, ssl_context=context)
    await stream.do_handshake()
    return stream


async def read_all(stream: trio.abc.Stream) -> bytes:
    data = b""
    try:
        async for part in stream:
            data += part
    except trio.BrokenResourceError:
        pass
    return data


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nX-Agent-Name: fra-1\r\n"

ENCRYPTED_HOSTILITY = {
    "silent": (b"", b""),
    "half a head": (b"POST / HT", b"408"),
    "half a body": (HEAD + b"Content-Length: 100\r\n\r\n[", b"408"),
    "garbage": (b"\x00\x01\x02\r\n\r\n", b"400"),
    "huge head": (HEAD + b"A: " + b"a" * 70_000 + b"\r\n\r\n", b"431"),
    "huge length": (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"413"),
    "negative length": (HEAD + b"Content-Length: -1\r\n\r\n", b"400"),
    "two lengths": (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    "endless chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 20,
        b"413",
    ),
    "deep nesting": (HEAD + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000, b"400"),
    "strange name": (b"GET / HTTP/1.1\r\nHost: x\r\nX-Agent-Name: \xff\xfe\r\n\r\n", b"403"),
}


@pytest.mark.parametrize("kind", ENCRYPTED_HOSTILITY)
async def test_hostile_agents_harm_nobody_else(tmp_path: Path, kind: str) -> None:
    sent, expected = ENCRYPTED_HOSTILITY[kind]
    async with running(Stage(tmp_path, HTTP, limits=HARSH)) as stage:
        stream = await encrypted(stage)
        await stream.send_all(sent)
        async with stage.client() as client:
            assert (await client.post("", json=[status(HTTP, True)])).status_code == 200
        if kind not in {"strange name", "deep nesting"}:
            answer = await read_all(stream)
        else:
            answer = bytes(await stream.receive_some(10_000))
        assert answer.partition(b"\r\n")[0].split(b" ")[1:2] == ([expected] if expected else [])
        await trio.aclose_forcefully(stream)
        assert [report.votes for report in stage.reports] == [bytes([UP])]
        assert stage.receiver.counters["errors"] == 0


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff"]
)
async def test_who_speaks_no_tls_is_let_go(tmp_path: Path, sent: bytes) -> None:
    async with running(Stage(tmp_path, HTTP, limits=HARSH)) as stage:
        stream = await raw(stage)
        if sent:
            await stream.send_all(sent)
        await read_all(stream)
        await stream.aclose()
        async with stage.client() as client:
            assert (await client.get("")).status_code == 200
        refused = stage.receiver.http.refused
        assert refused[Refusal.HANDSHAKE_FAILED] + refused[Refusal.HANDSHAKE_TIMEOUT] == 1


async def test_connections_that_only_sit_there_do_not_take_all_places(tmp_path: Path) -> None:
    limits = replace(LIMITS, connections_max=8, connections_per_peer_max=8)
    async with running(Stage(tmp_path, HTTP, limits=limits)) as stage:
        sitting = [await raw(stage) for _ in range(30)]
        async with stage.client() as client:
            assert (await client.get("")).status_code == 200
        for stream in sitting:
            await stream.aclose()


# ------------------------------------------------------------------------------- start and end


async def test_a_taken_port_is_a_sentence(stage: Stage, tmp_path: Path) -> None:
    other = HealthdReceiver(
        host="127.0.0.1",
        port=stage.receiver.port,
        files=stage.server_files,
        agents=set,
        clock=stage.clock,
    )
    with pytest.raises(ListenError, match="already in use"):
        await other.open()


async def test_a_missing_certificate_is_a_sentence(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.server_files.cert.unlink()  # type: ignore[union-attr]
    with pytest.raises(TlsError, match=r"server\.crt cannot be read: No such file"):
        await stage.receiver.open()


async def test_the_port_is_free_after_the_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with running(stage):
        address = ("127.0.0.1", stage.receiver.port)
    with pytest.raises(OSError, match=r"refused|failed"):
        await trio.open_tcp_stream(*address)


async def test_a_receiver_that_never_ran_can_be_closed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.receiver.open()
    await stage.receiver.aclose()


def test_agents_post_well_within_the_idle_time() -> None:
    assert LIMITS.idle_s >= 75
    assert POSITION_SETTLES_S > 2 * 30
