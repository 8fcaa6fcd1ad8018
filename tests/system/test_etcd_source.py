"""The etcd source against a real etcd, by both of its APIs: found, seen, missed, gone."""

from __future__ import annotations

import time
from functools import partial

import pytest
import trio

from tests.system.etcd import StartEtcd, Store, stored_list
from tests.system.etcd_stage import LIST, A, B, bench, listing, quick

__all__ = ["quick"]

pytestmark = pytest.mark.usefixtures("quick")
both = pytest.mark.parametrize("api", ["v2", "v3"])


@both
async def test_what_is_found_is_stored_and_what_changes_arrives(etcd: StartEtcd, api: str) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    store.report("ams", {A: True, B: False}, age_s=7)
    async with bench(server.url) as b:
        await b.wait_votes("ams", "up down")
        found = b.last("ams")
        assert found is not None
        assert found.stored
        assert found.via == "etcd"
        assert found.sent_wall is not None
        assert 6 < found.arrived_wall - found.sent_wall < 10
        assert found.messages == {1: "dial tcp: connection refused"}
        await b.wait_live()
        assert b.source.api == api
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        seen = b.last("ams")
        assert seen is not None
        assert not seen.stored
        assert b.votes("fra") == "-"
        # A key that was never there has not been removed.
        assert b.source.counters["removed"] == 0
        assert b.rows == {}


@both
async def test_every_agent_is_followed_and_changes_follow_fast(etcd: StartEtcd, api: str) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    async with bench(server.url) as b:
        await b.wait_live()
        for up in (True, False, True):
            for agent in ("ams", "fra", "waw"):
                store.report(agent, {A: up, B: True})
            for agent in ("ams", "fra", "waw"):
                await b.wait_votes(agent, f"{'up' if up else 'down'} up")
        assert not any(report.stored for report in b.reports)


@both
async def test_unchecked_slots_and_positions_are_honoured(etcd: StartEtcd, api: str) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    async with bench(server.url, monitors=listing(f"http://{A}", f"tcp://{A}")) as b:
        await b.wait_live()
        await b.put_list()
        store.report("ams", {A: None})
        await b.wait_votes("ams", "unknown unknown")
        report = b.last("ams")
        assert report is not None
        assert not report.complete
        store.put("ams", stored_list([(A, True), (A, False)], at=time.time()))
        await b.wait(lambda: b.source.counters["reports"] == 2)
        # Who fetched which list cannot be known so soon: what contradicts itself is no vote.
        assert b.votes("ams") == "unknown unknown"
        b.source._listing._same_since_mono = trio.current_time() - 3600
        store.put("fra", stored_list([(A, True), (A, False)], at=time.time()))
        await b.wait_votes("fra", "up down")


@both
async def test_values_that_are_no_reports_are_named_and_cost_nobody_else(
    etcd: StartEtcd, api: str
) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    async with bench(server.url) as b:
        await b.wait_live()
        nonsense = ["", "null", "[]", "{", '{"Status":[],"Time":"x"}', '{"Status":[]}']
        nonsense += ['{"Status":[{"IP":1}],"Time":1}', '{"Status":[],"Time":-1}', "\x7f" * 100]
        nonsense += ['{"Status":[],"Time":1e300}', "[" * 100_000]
        for value in nonsense:
            before = b.source.counters["malformed"]
            store.put("ams", value)
            await b.wait(partial(b.has_counted, "malformed", before + 1))
            assert "for agent ams is no report" in b.rows["etcd-malformed"]
        store.report("fra", {A: True, B: True})
        await b.wait_votes("fra", "up up")
        assert b.votes("ams") == "-"
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        assert b.rows == {}


async def test_a_giant_costs_its_own_agent_alone(etcd: StartEtcd) -> None:
    """By v3, where all keys share one watch."""
    server = etcd(v2=False, request_bytes_max=16 * 1024 * 1024)
    store, giant = Store(server, "v3"), "x" * 7_000_000
    store.put("ams", giant)
    store.report("fra", {A: True, B: False})
    async with bench(server.url) as b:
        # Found.
        await b.wait_votes("fra", "up down")
        await b.wait_live()
        await b.wait(lambda: "too large" in b.rows.get("etcd-malformed", ""))
        assert "for agent ams is no report" in b.rows["etcd-malformed"]
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        assert b.rows == {}
        # Seen to change.
        store.put("ams", giant)
        await b.wait(lambda: "too large" in b.rows.get("etcd-malformed", ""))
        store.report("fra", {A: False, B: False})
        await b.wait_votes("fra", "down down")
        # Gone before it was looked at.
        store.put("waw", giant)
        store.delete("waw")
        store.report("fra", {A: True, B: True})
        await b.wait_votes("fra", "up up")
        store.report("ams", {A: False, B: True})
        await b.wait_votes("ams", "down up")
        assert b.rows == {}
        # The list itself: it is another one than ours, and is replaced as such.
        store.put("monitors", giant)
        await b.put_list()
        assert (store.get("monitors") or "").startswith('["http://')
        assert b.rows == {}
        assert b.source.counters["connections"] == 1
        assert b.source.counters["failures"] == 0


@both
async def test_a_deleted_key_is_no_vote_and_no_end(etcd: StartEtcd, api: str) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    async with bench(server.url) as b:
        await b.wait_live()
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        store.delete("ams")
        await b.wait(lambda: b.source.counters["removed"] == 1)
        assert len(b.reports) == 1
        store.report("ams", {A: False, B: True})
        await b.wait_votes("ams", "down up")


@both
async def test_a_full_report_of_healthds_largest_post(etcd: StartEtcd, api: str) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    urls = [f"tcp://10.{i >> 16}.{(i >> 8) & 255}.{i & 255}:65535" for i in range(9000)]
    async with bench(server.url, monitors=listing(*urls)) as b:
        await b.wait_live()
        store.report("ams", {url.removeprefix("tcp://"): True for url in urls})
        await b.wait(lambda: b.last("ams") is not None)
        report = b.last("ams")
        assert report is not None
        assert report.votes.count(1) == 9000
        await b.put_list()
        assert (store.get("monitors") or "").count("tcp://") == 9000


@both
async def test_agents_come_and_go_with_the_configuration(etcd: StartEtcd, api: str) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    store.report("new", {A: True, B: False})
    async with bench(server.url) as b:
        await b.wait_live()
        b.agents.set(("new", "ams"))
        await b.wait_votes("new", "up down")
        store.report("waw", {A: True, B: False})
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        assert b.votes("waw") == "-"


@pytest.mark.parametrize("number", [9, 15])
@both
async def test_etcd_restarts_and_what_was_missed_is_found(
    etcd: StartEtcd, api: str, number: int
) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    async with bench(server.url) as b:
        await b.wait_live()
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await trio.to_thread.run_sync(server.stop, number)
        await b.wait(lambda: "etcd" in b.rows)
        assert f"DNS stays as it is: {server.url}: " in b.rows["etcd"]
        assert len(b.reports) == 1
        await trio.to_thread.run_sync(server.start)
        store.report("fra", {A: False, B: True})
        await b.wait_votes("fra", "down up")
        await b.wait_live()
        store.report("ams", {A: True, B: False})
        await b.wait_votes("ams", "up down")
        await b.wait(lambda: b.rows == {})


@both
async def test_an_etcd_that_lost_everything_is_read_anew(etcd: StartEtcd, api: str) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    async with bench(server.url) as b:
        await b.wait_live()
        await b.put_list()
        for _ in range(20):
            store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await trio.to_thread.run_sync(server.wipe)
        await trio.to_thread.run_sync(server.start)
        store.report("ams", {A: False, B: True})
        await b.wait_votes("ams", "down up")
        with trio.fail_after(10):
            await b.source.wait_differs(LIST)
        await b.put_list()
        assert store.get("monitors") == f'["http://{A}","http://{B}"]'
