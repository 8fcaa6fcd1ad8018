"""What stands between us and etcd: cuts, holds, delays and lies, and endpoints that fail."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest
import trio

from dnslb.errors import SourceError
from dnslb.sources import etcd as etcd_source, etcd_http
from tests.doubles.proxy import LIES, Proxy
from tests.system.etcd import Etcd, StartEtcd, Store
from tests.system.etcd_stage import A, B, bench, quick

__all__ = ["quick"]

pytestmark = pytest.mark.usefixtures("quick")
both = pytest.mark.parametrize("api", ["v2", "v3"])
Between = Callable[[Etcd], Awaitable[Proxy]]


@pytest.fixture
def between(nursery: trio.Nursery) -> Between:
    """Puts a proxy before a server."""

    async def start(server: Etcd) -> Proxy:
        proxy = Proxy(server.port)
        await nursery.start(proxy.run)
        return proxy

    return start


@both
async def test_a_cut_connection_goes_on_where_it_was(
    etcd: StartEtcd, between: Between, api: str
) -> None:
    server = etcd(v2=api == "v2")
    store, proxy = Store(server, api), await between(server)
    async with bench(proxy.url) as b:
        await b.wait_live()
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await proxy.set("refuse")
        await b.wait(lambda: "etcd" in b.rows)
        # What was read of the list says nothing any more.
        with pytest.raises(SourceError, match="etcd cannot be reached"):
            await b.source.prepare(b.monitors.value)
        store.report("ams", {A: True, B: False})
        await proxy.set("pass")
        await b.wait_votes("ams", "up down")
        missed = b.last("ams")
        assert missed is not None
        # Nobody saw it arrive, so its own time alone says how old it is.
        assert missed.stored
        store.report("ams", {A: False, B: False})
        await b.wait_votes("ams", "down down")
        seen = b.last("ams")
        assert seen is not None
        assert not seen.stored


async def test_a_connection_after_a_failure_has_to_last_before_all_is_called_well(
    etcd: StartEtcd, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_source, "STABLE_S", 3600)
    server = etcd()
    store, proxy = Store(server, "v2"), await between(server)
    async with bench(proxy.url) as b:
        await b.wait_live()
        await b.wait(lambda: b.rows == {})
        await proxy.set("refuse")
        await b.wait(lambda: "etcd" in b.rows)
        await proxy.set("pass")
        store.report("ams", {A: True, B: False})
        await b.wait_votes("ams", "up down")
        await trio.sleep(0.1)
        assert "etcd" in b.rows


async def test_a_compacted_history_is_read_anew(etcd: StartEtcd, between: Between) -> None:
    server = etcd(v2=False)
    store, proxy = Store(server, "v3"), await between(server)
    async with bench(proxy.url) as b:
        await b.wait_live()
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await proxy.set("refuse")
        await b.wait(lambda: "etcd" in b.rows)
        for _ in range(3):
            store.report("ams", {A: True, B: False})
        server.compact(server.put3("other", "x"))
        read = b.source._v3.read
        asked: list[str] = []

        async def counted(url: str, key: str) -> object:
            asked.append(key)
            return await read(url, key)

        b.source._v3.read = counted  # type: ignore[assignment, method-assign]
        await proxy.set("pass")
        await b.wait_votes("ams", "up down")
        assert "ams" in asked
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")


async def test_a_history_that_was_outrun_is_read_anew(etcd: StartEtcd, between: Between) -> None:
    server = etcd()
    store, proxy = Store(server, "v2"), await between(server)
    async with bench(proxy.url) as b:
        await b.wait_live()
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await proxy.set("refuse")
        await b.wait(lambda: "etcd" in b.rows)
        store.report("ams", {A: True, B: False})
        for _ in range(1001):
            store.put("other", "x")
        await proxy.set("pass")
        await b.wait_votes("ams", "up down")
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")


@both
async def test_lies_are_neither_votes_nor_an_empty_list(
    etcd: StartEtcd, between: Between, api: str
) -> None:
    server = etcd(v2=api == "v2")
    store, proxy = Store(server, api), await between(server)
    async with bench(proxy.url) as b:
        await b.wait_live()
        await b.put_list()
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        told = len(b.reports)
        await proxy.set("lie")
        before = proxy.connections
        await b.wait(lambda: proxy.connections > before + len(LIES))
        assert "etcd gives no reports" in b.rows["etcd"]
        assert len(b.reports) == told
        differs = False
        with trio.move_on_after(0.2):
            await b.source.wait_differs(b.monitors.value)
            differs = True
        assert not differs
        await proxy.set("pass")
        store.report("ams", {A: False, B: True})
        await b.wait_votes("ams", "down up")
        await b.wait(lambda: b.rows == {})


@both
async def test_silence_is_noticed_and_another_endpoint_is_used(
    etcd: StartEtcd, between: Between, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    monkeypatch.setattr(etcd_http, "HEAD_S_MAX", 0.5)
    server = etcd(v2=api == "v2")
    store, first, second = Store(server, api), await between(server), await between(server)
    async with bench(first.url, second.url) as b:
        await b.wait_live()
        assert b.source._http.url == first.url
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await first.set("hold")
        store.report("ams", {A: True, B: False})
        await b.wait_votes("ams", "up down")
        assert b.source._http.url == second.url
        assert b.rows == {}
        await second.set("refuse")
        await first.set("pass")
        store.report("ams", {A: False, B: False})
        await b.wait_votes("ams", "down down")


@both
async def test_a_slow_way_is_late_and_nothing_else(
    etcd: StartEtcd, between: Between, api: str
) -> None:
    server = etcd(v2=api == "v2")
    store, proxy = Store(server, api), await between(server)
    proxy.delay_s = 0.3
    async with bench(proxy.url) as b:
        await b.wait_live()
        put_at = time.time()
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        assert time.time() - put_at >= 0.25
        assert b.rows == {}


@both
async def test_a_paused_etcd_is_shown_and_comes_back(
    etcd: StartEtcd, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    monkeypatch.setattr(etcd_http, "HEAD_S_MAX", 0.5)
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    async with bench(server.url) as b:
        await b.wait_live()
        server.pause(True)
        await b.wait(lambda: "no answer within" in b.rows.get("etcd", ""))
        server.pause(False)
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await b.wait(lambda: b.rows == {})


@both
async def test_endpoints_of_two_clusters_are_never_taken_for_one(
    etcd: StartEtcd, between: Between, api: str
) -> None:
    """A mistake in the configuration; what was followed in one says nothing of the other."""
    first, second = etcd(v2=api == "v2"), etcd(v2=api == "v2")
    proxy = await between(first)
    Store(second, api).report("ams", {A: False, B: False})
    for _ in range(50):
        Store(second, api).put("other", "x")
    async with bench(proxy.url, second.url) as b:
        await b.wait_live()
        for _ in range(10):
            Store(first, api).report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await proxy.set("refuse")
        await b.wait_votes("ams", "down down")
