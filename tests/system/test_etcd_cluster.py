"""An etcd of three members: one dies, the majority dies, and it comes back."""

from __future__ import annotations

import pytest
import trio

from dnslb.sources import etcd_http
from tests.system.etcd import StartEtcd, Store
from tests.system.etcd_stage import A, B, bench, quick
from tests.system.named import free_port

__all__ = ["quick"]
pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("api", ["v2", "v3"])
async def test_a_member_may_die_and_without_a_majority_nothing_is_believed(
    etcd: StartEtcd, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    monkeypatch.setattr(etcd_http, "HEAD_S_MAX", 1.0)
    peers = [free_port() for _ in range(3)]
    members = [etcd(v2=api == "v2", peers=peers, number=number) for number in range(3)]
    for member in members:
        await trio.to_thread.run_sync(member.wait_ready)
    stores = [Store(member, api) for member in members]
    async with bench(*(member.url for member in members)) as b:
        await b.wait_live()
        await b.put_list()
        # Written at one member, seen at another.
        stores[1].report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await trio.to_thread.run_sync(members[0].stop)
        await trio.to_thread.run_sync(members[1].wait_ready)
        stores[1].report("ams", {A: True, B: False})
        await b.wait_votes("ams", "up down")
        await b.wait(lambda: b.rows == {})
        told = len(b.reports)
        used = next(member for member in members[1:] if member.url == b.source._http.url)
        other = next(member for member in members[1:] if member is not used)
        # The endpoint in use lives on, and would be silent for ever.
        await trio.to_thread.run_sync(other.stop)
        await b.wait_row("etcd")
        assert len(b.reports) == told
        await trio.to_thread.run_sync(other.start)
        await trio.to_thread.run_sync(used.wait_ready)
        Store(used, api).report("ams", {A: False, B: False})
        await b.wait_votes("ams", "down down")
        await b.wait(lambda: b.rows == {})
