"""The monitor list in a real etcd: which API it stands in, what is written, what is not."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
import trio

from dnslb.errors import SourceError
from dnslb.model.loadbalancer import MonitorList
from tests.doubles.pki import Authority
from tests.system.etcd import Etcd, StartEtcd, Store
from tests.system.etcd_stage import LIST, A, B, Bench, bench, listing, quick

__all__ = ["quick"]
pytestmark = pytest.mark.usefixtures("quick")
both = pytest.mark.parametrize("api", ["v2", "v3"])
OURS = f'["http://{A}","http://{B}"]'


async def differs(b: Bench) -> bool:
    with trio.move_on_after(0.3):
        await b.source.wait_differs(b.monitors.value)
        return True
    return False


@both
async def test_a_missing_or_other_list_is_written_and_a_spaced_one_is_ours(
    etcd: StartEtcd, api: str
) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    async with bench(server.url) as b:
        await b.wait_live()
        for stands in (None, "", "[]", "no json", '{"a":1}', '["tcp://203.0.113.1:22"]'):
            if stands is not None:
                store.put("monitors", stands)
            await b.source.wait_differs(LIST)
            await b.put_list()
            assert store.get("monitors") == OURS
        store.put("monitors", f'[ "http://{A}",\n "http://{B}" ]')
        assert not await differs(b)
        assert await b.source.prepare(LIST) is None
        store.delete("monitors")
        await b.source.wait_differs(LIST)


@both
async def test_nothing_is_overwritten_that_was_not_seen(etcd: StartEtcd, api: str) -> None:
    server = etcd(v2=api == "v2")
    store = Store(server, api)
    async with bench(server.url) as b:
        await b.wait_live()
        for before in (None, '["tcp://203.0.113.1:22"]'):
            if before is not None:
                store.put("monitors", before)
            else:
                assert store.get("monitors") is None
            prepared = await b.source.prepare(LIST)
            assert prepared is not None
            store.put("monitors", '["tcp://203.0.113.2:22"]')
            with pytest.raises(SourceError, match="something else stands there by now"):
                await prepared.send()
            assert store.get("monitors") == '["tcp://203.0.113.2:22"]'


async def test_an_empty_list_is_never_written(etcd: StartEtcd) -> None:
    server = etcd()
    server.put("monitors", OURS)
    for monitors in (MonitorList(), listing("http://[2001:db8::1]:80")):
        async with bench(server.url, monitors=monitors) as b:
            await b.wait_live()
            assert not await differs(b)
            assert await b.source.prepare(monitors) is None
    assert server.get("monitors") == OURS


async def test_what_old_agents_cannot_parse_is_left_out_and_named(
    etcd: StartEtcd, caplog: pytest.LogCaptureFixture
) -> None:
    server = etcd()
    monitors = listing(f"http://{A}", "http://[2001:db8::1]:80", f"http://{B}/ready")
    async with bench(server.url, monitors=monitors) as b:
        await b.wait_live()
        await b.put_list()
        assert server.get("monitors") == f'["http://{A}"]'
        row = b.rows["etcd-left-out"]
        assert "http://[2001:db8::1]:80, http://192.0.2.2:80/ready" in row
        assert row in caplog.text
        Store(server, "v2").report("ams", {A: True})
        await b.wait_votes("ams", "up unknown unknown")
        report = b.last("ams")
        assert report is not None
        assert report.complete
        b.monitors.set(LIST)
        await b.source.wait_differs(LIST)
        assert "etcd-left-out" not in b.rows


async def test_v2_goes_before_v3_and_keys_in_both_are_shown(etcd: StartEtcd) -> None:
    server = etcd()
    Store(server, "v2").report("ams", {A: True, B: True})
    Store(server, "v3").report("ams", {A: False, B: False})
    Store(server, "v3").report("fra", {A: False, B: False})
    async with bench(server.url, look_s=0.05) as b:
        await b.wait_live()
        assert b.source.api == "v2"
        await b.wait(lambda: "etcd-both" in b.rows)
        assert "in etcd's v3 store stand statuses of ams, fra as well" in b.rows["etcd-both"]
        assert "only those in its v2 store count" in b.rows["etcd-both"]
        assert b.votes("ams") == "up up"
        assert b.votes("fra") == "-"
        await b.put_list()
        assert server.get("monitors") == OURS
        assert server.get3("monitors") is None
        server.delete3("ams")
        server.delete3("fra")
        await b.wait(lambda: b.rows == {})


async def test_the_api_can_be_chosen_and_v2_keys_beside_are_shown(etcd: StartEtcd) -> None:
    server = etcd()
    Store(server, "v2").report("ams", {A: True, B: True})
    Store(server, "v3").report("ams", {A: False, B: False})
    async with bench(server.url, api="v3", look_s=0.05) as b:
        await b.wait_votes("ams", "down down")
        await b.wait(lambda: "etcd-both" in b.rows)
        assert "in etcd's v2 store stand statuses of ams as well" in b.rows["etcd-both"]


async def test_v2_without_a_gateway_is_enough(etcd: StartEtcd) -> None:
    server = etcd(gateway=False)
    async with bench(server.url, look_s=0.05) as b:
        await b.wait_live()
        Store(server, "v2").report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await trio.sleep(0.3)
        assert b.rows == {}


async def test_neither_api_is_said_in_words(etcd: StartEtcd) -> None:
    server = etcd(v2=False, gateway=False)
    async with bench(server.url) as b:
        await b.wait(lambda: "there is no JSON gateway of v3" in b.rows.get("etcd", ""))
        assert not await differs(b)


async def test_v3_is_spoken_only_when_no_endpoint_has_v2(etcd: StartEtcd) -> None:
    """Endpoints of one cluster may be of several versions while it is upgraded."""
    without, having = etcd(v2=False), etcd()
    Store(having, "v2").report("ams", {A: True, B: True})
    Store(without, "v3").report("ams", {A: False, B: False})
    async with bench(without.url, having.url) as b:
        await b.wait_votes("ams", "up up")
        assert b.source.api == "v2"
        await trio.to_thread.run_sync(having.stop)
        await b.wait(lambda: "etcd" in b.rows)
        assert "serves no v2 API, and whether others do cannot be told" in b.rows["etcd"]
        assert b.votes("ams") == "up up"


@both
async def test_user_and_password(etcd: StartEtcd, api: str) -> None:
    server = etcd(v2=api == "v2")
    _lock(server, api)
    store = Store(server, api)
    async with bench(server.url, user="root", password="geheim-1") as b:
        await b.wait_live()
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
        await b.put_list()
        assert store.get("monitors") == OURS
        b.source._v3._token = "expired.7"
        assert await b.source.prepare(LIST) is None
        assert b.source.counters["failures"] == 0
        # What a restart forgets are the tokens.
        await trio.to_thread.run_sync(server.stop)
        await trio.to_thread.run_sync(server.start)
        if api == "v3":
            _take_token(server)
        store.report("ams", {A: False, B: True})
        await b.wait_votes("ams", "down up")


@both
@pytest.mark.parametrize("user", ["root", None])
async def test_a_wrong_password_is_said_and_shown_nowhere(
    etcd: StartEtcd, caplog: pytest.LogCaptureFixture, api: str, user: str | None
) -> None:
    server = etcd(v2=api == "v2")
    _lock(server, api)
    async with bench(server.url, user=user, password="geheim-2") as b:
        await b.wait(lambda: "etcd refuses: 40" in b.rows.get("etcd", ""))
        assert "geheim" not in caplog.text + str(b.rows)


def _lock(server: Etcd, api: str) -> None:
    if api == "v2":
        http, root = server._http, ("root", "geheim-1")
        user = {"user": "root", "password": "geheim-1", "roles": ["root"]}
        assert http.put("/v2/auth/users/root", json=user).is_success
        assert http.put("/v2/auth/enable", auth=root).is_success
        assert http.delete("/v2/auth/roles/guest", auth=root).is_success
        pair = b64encode(b"root:geheim-1").decode()
        server.authorization = {"Authorization": f"Basic {pair}"}
        return
    server.v3("auth/user/add", name="root", password="geheim-1")
    server.v3("auth/role/add", name="root")
    server.v3("auth/user/grant", user="root", role="root")
    server.v3("auth/enable")
    _take_token(server)


def _take_token(server: Etcd) -> None:
    server.authorization = {}
    token = server.v3("auth/authenticate", name="root", password="geheim-1")["token"]
    server.authorization = {"Authorization": token}


@both
async def test_mutual_tls(etcd: StartEtcd, tmp_path: Path, api: str) -> None:
    ca, other = Authority(tmp_path / "pki"), Authority(tmp_path / "other")
    ours = ca.issue("dnslb.test", name="client")
    server = etcd(v2=api == "v2", tls=ca.issue("127.0.0.1", name="server"), client=ours)
    store = Store(server, api)
    async with bench(server.url, files=ours) as b:
        await b.wait_live()
        store.report("ams", {A: True, B: True})
        await b.wait_votes("ams", "up up")
    strangers = {
        "it comes from an unknown CA": other.issue("dnslb.test", name="stranger"),
        "our certificate was refused by the peer": other.issue(
            "dnslb.test", name="unknown", trusting=ca
        ),
    }
    for sentence, files in strangers.items():
        async with bench(server.url, files=files) as b:
            await b.wait_row("etcd")
            assert sentence in b.rows["etcd"]
