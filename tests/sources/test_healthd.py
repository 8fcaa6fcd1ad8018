"""The receiver over real mutual TLS on loopback: what is answered, and what is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.model.report import DOWN, UNKNOWN, UP
from dnslb.net.listen import ListenError
from dnslb.net.tls import TlsError
from dnslb.sources.healthd import LIMITS, POSITION_SETTLES_S, HealthdReceiver
from dnslb.sources.healthd_codec import MONITORS_TYPE, STATUSES_BYTES_MAX
from tests.sources.receiver_stage import BLANK, HTTP, SIX, TCP, Stage, monitor_list, running, status


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with running(Stage(tmp_path, HTTP, TCP, SIX)) as one:
        yield one


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
