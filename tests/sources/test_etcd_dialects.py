"""What both dialects do where a real etcd cannot be brought to: gaps, giants, a watch gone deaf."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from dnslb.daemon.notices import Notices
from dnslb.errors import SourceError
from dnslb.net.clock import FakeClock
from dnslb.sources import etcd_listing
from dnslb.sources.etcd_codec import Answer, Held, HistoryGone, Reading
from dnslb.sources.etcd_follow import GONE_AGAIN_S, NOBODY, RESUME_S_MAX, Places, Seen
from dnslb.sources.etcd_http import AnswerTooLarge, EtcdHttp
from dnslb.sources.etcd_listing import LEFT_OUT, Listing
from dnslb.sources.etcd_v2 import POLL_S_MAX, EtcdV2
from dnslb.sources.etcd_v3 import BEHIND_S_MAX, EtcdV3
from tests.sources.statuses import HTTP, READY
from tests.sources.test_etcd_listing import OURS, listing

URL = "http://192.0.2.53:2379"
HEAD = {"x-etcd-index": "9", "x-etcd-cluster-id": "c"}
Call = Callable[[str, str, bytes | None], Answer]


class Opened:
    """An answer whose head is there; its body is what ``wait`` gives, or a failure."""

    def __init__(self, index: int, wait: Callable[[], Any]) -> None:
        self.status, self.headers = 200, {**HEAD, "x-etcd-index": str(index)}
        self._wait = wait

    async def line(self) -> bytes | None:
        return cast("bytes | None", await self._wait())

    async def answer(self) -> Answer:
        return cast("Answer", await self._wait())


class Scripted:
    """In the place of `EtcdHttp`: ``on_call`` answers, ``on_open`` is what a long poll brings.
    Each poll finds the store one change further."""

    def __init__(self, on_call: Call, on_open: Callable[[], Any] = trio.sleep_forever) -> None:
        self._on_call, self._on_open = on_call, on_open
        self.opened: list[str] = []
        self.headers: list[Mapping[str, str]] = []

    async def call(
        self,
        url: str,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        await trio.lowlevel.checkpoint()
        return self._on_call(method, path, content)

    @asynccontextmanager
    async def open(
        self,
        url: str,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Opened]:
        self.opened.append(path)
        self.headers.append(headers or {})
        yield Opened(8 + len(self.opened), self._on_open)


def as_http(scripted: Scripted) -> EtcdHttp:
    return cast("EtcdHttp", scripted)


# ---------------------------------------------------------------------------------- the places


async def test_after_a_long_gap_a_key_is_read_anew(autojump_clock: MockClock) -> None:
    places = Places(FakeClock())
    places.begin("ams", Reading(Held("ams", b"", 3), 7, "c"))
    await trio.sleep(RESUME_S_MAX - 1)
    assert places.resumable("ams") is not None
    await trio.sleep(2)
    assert places.resumable("ams") is None


async def test_reading_anew_that_helps_nothing_is_a_failure(autojump_clock: MockClock) -> None:
    places, gone = Places(FakeClock()), HistoryGone("gone")
    places.read_anew(("ams", "fra"), gone)
    await trio.sleep(GONE_AGAIN_S + 0.1)
    places.read_anew(("ams",), gone)
    with pytest.raises(HistoryGone):
        places.read_anew(("ams",), gone)


# ------------------------------------------------------------------------------------------ v2


def v2_value(value: str, index: int = 9) -> Answer:
    body = {"action": "get", "node": {"key": "/k", "value": value, "modifiedIndex": index}}
    return Answer(200, HEAD, json.dumps(body).encode())


async def followed(http: Scripted, *keys: str, seconds: float = 20.0) -> tuple[list[Seen], bool]:
    """What is told within these seconds, and whether the connection was called live."""
    told: list[Seen] = []
    live = trio.Event()
    dialect = EtcdV2(as_http(http), FakeClock(), NOBODY)
    with trio.move_on_after(seconds):
        await dialect.follow(URL, keys, told.append, live.set)
    return told, live.is_set()


async def test_a_value_that_is_too_large_costs_its_own_key_alone(
    autojump_clock: MockClock,
) -> None:
    def answer(method: str, path: str, content: bytes | None) -> Answer:
        if "/ams?" in path:
            raise AnswerTooLarge("too large", HEAD)
        return v2_value("fine")

    told, live = await followed(Scripted(answer), "ams", "fra")
    assert live
    assert {seen.held.key: seen.held.value for seen in told} == {"ams": b"", "fra": b"fine"}


async def test_a_change_that_is_too_large_is_passed_over(autojump_clock: MockClock) -> None:
    async def poll() -> Answer:
        if len(http.opened) == 1:
            raise AnswerTooLarge("too large", HEAD)
        await trio.sleep_forever()
        raise AssertionError

    http = Scripted(lambda method, path, content: v2_value("fine"), poll)
    told, _ = await followed(http, "ams")
    assert [(seen.held.value, seen.stored) for seen in told] == [(b"fine", True), (b"", True)]
    # It is not asked for again and again: the next poll waits behind it.
    assert http.opened[1].endswith("waitIndex=11")


async def test_a_poll_that_brings_nothing_is_set_anew(autojump_clock: MockClock) -> None:
    http = Scripted(lambda method, path, content: v2_value("fine"))
    told, _ = await followed(http, "ams", seconds=4.5 * POLL_S_MAX)
    assert len(http.opened) == 5
    # What was silent for long is read again, and counts as found.
    assert len(told) > 1
    assert all(seen.stored for seen in told)
    assert {path.partition("waitIndex=")[2] for path in http.opened} == {"10"}


async def test_reads_are_what_a_majority_agrees_on() -> None:
    asked: list[str] = []

    def answer(method: str, path: str, content: bytes | None) -> Answer:
        asked.append(path)
        return v2_value("fine")

    await EtcdV2(as_http(Scripted(answer)), FakeClock(), NOBODY).read(URL, "a/b")
    assert asked == ["/v2/keys/a%2Fb?quorum=true"]


# ------------------------------------------------------------------------------------------ v3


class Revisions:
    """A v3 store that says when each key was changed last."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def __call__(self, method: str, path: str, content: bytes | None) -> Answer:
        assert path == "/v3/kv/txn"
        asked = [one["request_range"] for one in json.loads(content or b"")["success"]]
        assert all(one["keys_only"] for one in asked)
        by_key = {b64encode(key.encode()).decode(): at for key, at in self.of.items()}
        ranges: list[dict[str, Any]] = []
        for one in asked:
            at = by_key.get(one["key"])
            kvs = [] if at is None else [{"key": one["key"], "mod_revision": str(at)}]
            ranges.append({"response_range": {"kvs": kvs, "count": str(len(kvs))}})
        header = {"cluster_id": "7", "revision": "99"}
        body = {"header": header, "succeeded": True, "responses": ranges}
        return Answer(200, {}, json.dumps(body).encode())


async def test_a_watch_that_shows_nothing_of_what_changes_is_found_out(
    autojump_clock: MockClock,
) -> None:
    store = Revisions()
    dialect = EtcdV3(as_http(Scripted(store)), FakeClock(), NOBODY)
    place = dialect._places.begin("ams", Reading(Held("ams", b"", 3), 7, "7"))
    dialect._places.begin("fra", Reading(Held("fra", None, 0), 7, "7"))
    store.of = {"ams": 7}
    await dialect.check(URL)
    await trio.sleep(BEHIND_S_MAX * 2)
    await dialect.check(URL)
    # A change that is on its way: the watch may be a moment behind.
    store.of = {"ams": 8}
    await dialect.check(URL)
    await trio.sleep(BEHIND_S_MAX - 1)
    await dialect.check(URL)
    # It came, and another one with it.
    place.next_index = 9
    store.of = {"ams": 9}
    await trio.sleep(2)
    await dialect.check(URL)
    await trio.sleep(BEHIND_S_MAX + 1)
    with pytest.raises(SourceError, match="the watch does not show what changes"):
        await dialect.check(URL)


class Giant:
    """A v3 store whose key ams has a value that is too large, but for the full reading
    number ``well_at``."""

    def __init__(self, well_at: int = 0) -> None:
        self.full_readings = 0
        self.changed_at = {"ams": 3, "fra": 4}
        self.revision = 9
        self._well_at = well_at

    def __call__(self, method: str, path: str, content: bytes | None) -> Answer:
        if path == "/v3/kv/txn":
            revisions = Revisions()
            revisions.of = self.changed_at
            return revisions(method, path, content)
        asked = json.loads(content or b"")
        key = b64decode(asked["key"]).decode()
        header = {"cluster_id": "7", "revision": str(self.revision)}
        if key not in self.changed_at:
            return Answer(200, {}, json.dumps({"header": header}).encode())
        kv = {"key": asked["key"], "mod_revision": str(self.changed_at[key])}
        if not asked["keys_only"]:
            if key == "ams":
                self.full_readings += 1
                if self.full_readings != self._well_at:
                    raise AnswerTooLarge("too large", {})
            kv["value"] = b64encode(b"fine").decode()
        body = {"header": header, "kvs": [kv], "count": "1"}
        return Answer(200, {}, json.dumps(body).encode())


async def test_by_v3_too_a_value_that_is_too_large_costs_its_own_key_alone(
    autojump_clock: MockClock,
) -> None:
    told: list[Seen] = []
    http = Scripted(Giant())
    dialect = EtcdV3(as_http(http), FakeClock(), NOBODY)
    with trio.move_on_after(20):
        await dialect.follow(URL, ("ams", "fra"), told.append, lambda: None)
    assert {seen.held.key: seen.held.value for seen in told} == {"ams": b"", "fra": b"fine"}
    assert [seen.held.index for seen in told] == [3, 4]
    # Watched from behind it on, so that it does not come again.
    assert http.opened == ["/v3/watch"]
    place = dialect._places.get("ams")
    assert place is not None
    assert place.next_index == 10


async def test_what_takes_the_place_of_a_giant_meanwhile_is_read() -> None:
    dialect = EtcdV3(as_http(Scripted(Giant(well_at=2))), FakeClock(), NOBODY)
    reading = await dialect.read(URL, "ams")
    assert reading.held.value == b"fine"


@pytest.mark.parametrize("is_gone", [False, True])
async def test_after_too_large_a_change_only_what_changed_is_read_anew(
    autojump_clock: MockClock, is_gone: bool
) -> None:
    async def line() -> bytes:
        if len(http.opened) > 1:
            await trio.sleep_forever()
        store.revision = 11
        store.changed_at["ams"] = 10
        if is_gone:
            del store.changed_at["ams"]
        raise AnswerTooLarge("too large", {})

    store, told = Giant(well_at=1), list[Seen]()
    http = Scripted(store, line)
    dialect = EtcdV3(as_http(http), FakeClock(), NOBODY)
    with trio.move_on_after(20):
        await dialect.follow(URL, ("ams", "fra"), told.append, lambda: None)
    assert [(seen.held.key, seen.held.value, seen.held.index) for seen in told] == [
        ("ams", b"fine", 3),
        ("fra", b"fine", 4),
        ("ams", None, 0) if is_gone else ("ams", b"", 10),
    ]


async def test_too_much_of_no_change_is_a_failure(autojump_clock: MockClock) -> None:
    """It is not asked for again and again: another endpoint may do better."""

    async def line() -> bytes:
        await trio.lowlevel.checkpoint()
        raise AnswerTooLarge("too large", {})

    http = Scripted(Giant(), line)
    with pytest.raises(AnswerTooLarge):
        await EtcdV3(as_http(http), FakeClock(), NOBODY).follow(
            URL, ("ams", "fra"), lambda seen: None, lambda: None
        )
    assert http.opened == ["/v3/watch"]


async def test_a_watch_is_to_end_at_a_member_that_has_lost_the_others() -> None:
    """etcd's own word for it; the looks beside the watch would find out, only later."""

    def answer(method: str, path: str, content: bytes | None) -> Answer:
        body = {"header": {"cluster_id": "7", "revision": "9"}}
        return Answer(200, {}, json.dumps(body).encode())

    http = Scripted(answer)
    dialect = EtcdV3(as_http(http), FakeClock(), NOBODY)
    with trio.move_on_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dialect.follow, URL, ("ams",), print, print)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert http.opened == ["/v3/watch"]
    assert http.headers[0]["Grpc-Metadata-hasleader"] == "true"


# ------------------------------------------------------------------------------ the monitor list


async def test_a_list_that_etcd_would_not_take_is_not_sent(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices = Notices(float, lambda: None)
    one = Listing(FakeClock(), notices, "warning")
    await one.set_wanted(OURS)
    http = Scripted(lambda method, path, content: v2_value("another"))
    one.connect(EtcdV2(as_http(http), FakeClock(), NOBODY), URL)
    assert await one.prepare(OURS) is not None
    monkeypatch.setattr(etcd_listing, "LIST_BYTES_MAX", 10)
    with pytest.raises(SourceError, match="longer than the 10 bytes that etcd takes"):
        await one.prepare(OURS)


@pytest.mark.parametrize("severity", ["warning", "info"])
async def test_what_is_left_out_is_as_bad_as_it_is_said_to_be(
    autojump_clock: MockClock, severity: Any
) -> None:
    notices = Notices(float, lambda: None)
    one = Listing(FakeClock(), notices, severity)
    await one.set_wanted(listing(HTTP.url, READY.url))
    row = notices._rows[LEFT_OUT, "monitors"]
    assert row.severity == severity
    assert READY.url in row.sentence
    assert HTTP.url not in row.sentence
