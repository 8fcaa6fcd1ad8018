"""What etcd's answers mean; above all, that nothing but etcd itself says that a key is missing."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dnslb.errors import SourceError
from dnslb.sources.etcd_codec import (
    Answer,
    ChangedMeanwhile,
    EtcdRefused,
    Held,
    HistoryGone,
    Reading,
    begin_of,
    is_same_list,
    read_written,
    time_after,
)
from dnslb.sources.etcd_codec_v2 import v2_reading, v2_speaks
from dnslb.sources.etcd_codec_v3 import (
    v3_news,
    v3_put_over,
    v3_read_revisions,
    v3_reading,
    v3_token,
    v3_watch,
    v3_written,
)

HEAD = {"x-etcd-index": "9", "x-etcd-cluster-id": "c"}
HEADER = {"cluster_id": "77", "member_id": "1", "revision": "9", "raft_term": "2"}


def v2(body: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers or HEAD, json.dumps(body).encode())


def v3(status: int = 200, **body: object) -> Answer:
    return Answer(status, {}, json.dumps(body).encode())


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


class TestV2:
    def test_a_value(self) -> None:
        answer = v2({"action": "get", "node": {"key": "/a", "value": "x", "modifiedIndex": 4}})
        assert v2_reading(answer, "a") == Reading(Held("a", b"x", 4), 9, "c")

    def test_a_missing_key(self) -> None:
        answer = v2({"errorCode": 100, "message": "Key not found", "index": 9}, 404)
        assert v2_reading(answer, "a") == Reading(Held("a", None, 0), 9, "c")

    @pytest.mark.parametrize("action", ["delete", "expire", "compareAndDelete"])
    def test_an_end(self, action: str) -> None:
        node = {"key": "/a", "modifiedIndex": 5}
        assert v2_reading(v2({"action": action, "node": node}), "a").held == Held("a", None, 5)

    def test_a_directory_is_something(self) -> None:
        node = {"key": "/a", "dir": True, "modifiedIndex": 5}
        assert v2_reading(v2({"action": "get", "node": node}), "a").held.value == b""

    @pytest.mark.parametrize(
        ("code", "status", "kind"),
        [
            (101, 412, ChangedMeanwhile),
            (105, 412, ChangedMeanwhile),
            (110, 401, EtcdRefused),
            (300, 500, EtcdRefused),
            (401, 400, HistoryGone),
        ],
    )
    def test_errors(self, code: int, status: int, kind: type[SourceError]) -> None:
        with pytest.raises(kind, match="that is why"):
            v2_reading(v2({"errorCode": code, "message": "that is why"}, status), "a")

    @pytest.mark.parametrize(
        "answer",
        [
            v2({"errorCode": 100}, 404, server="nginx"),
            v2({"errorCode": 100}, 200),
            v2({}, 404),
            v2({}),
            v2(None),
            v2({"node": {"value": "x"}}),
            v2({"node": {"value": 7, "modifiedIndex": 1}}),
            v2({"errorCode": 100}, 404, **{"x-etcd-index": "1e3"}),
            v2({"errorCode": 100}, 404, **{"x-etcd-index": "\uff19"}),
            Answer(404, HEAD, b"404 page not found"),
            Answer(200, HEAD, b"[" * 100_000),
            Answer(200, HEAD, b"\xff\xfe"),
            Answer(200, HEAD, b""),
        ],
    )
    def test_nonsense_is_an_error(self, answer: Answer) -> None:
        with pytest.raises(SourceError):
            v2_reading(answer, "a")

    def test_whether_it_is_served(self) -> None:
        assert v2_speaks(v2({"errorCode": 110}, 401))
        assert not v2_speaks(Answer(404, {"content-type": "text/plain"}, b"404 page not found"))
        for status, kind in ((502, "text/html"), (200, "text/html"), (404, "application/json")):
            with pytest.raises(SourceError):
                v2_speaks(Answer(status, {"content-type": kind}, b""))


class TestV3:
    def test_a_value(self) -> None:
        kv = {"key": b64("a"), "mod_revision": "4", "value": b64("x"), "version": "1"}
        answer = v3(header=HEADER, kvs=[kv], count="1")
        assert v3_reading(answer, "a") == Reading(Held("a", b"x", 4), 9, "77")

    def test_an_empty_value_is_left_out_by_the_gateway(self) -> None:
        kv = {"key": b64("a"), "mod_revision": "4"}
        assert v3_reading(v3(header=HEADER, kvs=[kv], count="1"), "a").held.value == b""

    def test_a_missing_key(self) -> None:
        assert v3_reading(v3(header=HEADER), "a") == Reading(Held("a", None, 0), 9, "77")

    @pytest.mark.parametrize(
        "answer",
        [
            v3(),
            v3(header={}),
            v3(header={"cluster_id": "77"}),
            v3(header={"revision": "9"}),
            v3(header=HEADER, count="1"),
            v3(header=HEADER, kvs=[{"key": b64("b"), "mod_revision": "4"}]),
            v3(header=HEADER, kvs=[{"key": b64("a"), "mod_revision": "4"}] * 2),
            v3(header=HEADER, kvs=[{"key": "~", "mod_revision": "4"}]),
            v3(404, header=HEADER),
            v3(503, error="etcdserver: no leader", code=14, message="etcdserver: no leader"),
            Answer(404, {}, b"Not Found"),
            Answer(200, {}, b""),
            Answer(200, {}, b"<html>"),
        ],
    )
    def test_nonsense_is_an_error(self, answer: Answer) -> None:
        with pytest.raises(SourceError):
            v3_reading(answer, "a")

    def test_a_write_names_what_it_replaces(self) -> None:
        for over, revision in ((Held("a", b"x", 4), "4"), (Held("a", None, 7), "0")):
            (compare,) = json.loads(v3_put_over(over, b"y"))["compare"]
            assert compare["mod_revision"] == revision
        assert v3_written(v3(header=HEADER, succeeded=True)) == 9
        with pytest.raises(ChangedMeanwhile):
            v3_written(v3(header=HEADER))

    def test_a_watch_for_each_key(self) -> None:
        lines = v3_watch({"a": 3, "b": 5}).splitlines()
        asked = [json.loads(line)["create_request"] for line in lines]
        assert [(a["key"], a["start_revision"]) for a in asked] == [
            (b64("a"), "3"),
            (b64("b"), "5"),
        ]

    def test_news(self) -> None:
        events = [
            {"kv": {"key": b64("a"), "mod_revision": "8", "value": b64("x")}},
            {"type": "DELETE", "kv": {"key": b64("b"), "mod_revision": "9"}},
        ]
        line = json.dumps({"result": {"header": HEADER, "events": events}}).encode()
        assert v3_news(line).held() == [Held("a", b"x", 8), Held("b", None, 9)]

    @pytest.mark.parametrize(
        ("line", "kind"),
        [
            (
                {"result": {"header": HEADER, "canceled": True, "compact_revision": "5"}},
                HistoryGone,
            ),
            ({"result": {"header": HEADER, "canceled": True, "cancel_reason": "no"}}, EtcdRefused),
            ({"error": {"grpc_code": 14, "message": "no leader"}}, EtcdRefused),
            ({"result": {}}, SourceError),
            ({}, SourceError),
            ([], SourceError),
        ],
    )
    def test_the_end_of_a_watch(self, line: object, kind: type[SourceError]) -> None:
        with pytest.raises(kind):
            v3_news(json.dumps(line).encode())

    def test_revisions_answer_what_was_asked(self) -> None:
        there = {"response_range": {"kvs": [{"key": b64("b"), "mod_revision": "4"}], "count": "1"}}
        absent: dict[str, Any] = {"response_range": {"header": {"revision": "9"}}}
        answer = v3(header=HEADER, succeeded=True, responses=[absent, there])
        assert v3_read_revisions(answer, ["a", "b"]) == {"b": 4}
        with pytest.raises(SourceError):
            v3_read_revisions(answer, ["a"])

    def test_a_token_that_fits_into_no_header(self) -> None:
        assert v3_token(v3(token="abc.7")) == "abc.7"
        for token in ("a\r\nX: y", "ä", "x" * 5000):
            with pytest.raises(SourceError):
                v3_token(v3(token=token))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["node", "errorCode", "header", "revision", "kvs", "count", "key"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from([200, 201, 204, 301, 401, 404, 500, 503]))
def test_only_etcd_itself_says_that_a_key_is_missing(body: Any, status: int) -> None:
    for read, headers in ((v2_reading, HEAD), (v2_reading, {}), (v3_reading, {})):
        try:
            reading = read(Answer(status, headers, json.dumps(body).encode()), "a")
        except SourceError:
            continue
        if reading.held.value is None and read is v2_reading:
            assert headers
            assert status == 404
            assert body["errorCode"] == 100
        elif reading.held.value is None:
            assert status == 200
            assert not body.get("kvs")
            assert body["header"]["revision"]


def test_what_healthd_stores() -> None:
    found = read_written(b'{"Status":[{"IP":"a"}],"Time":1700000000}')
    assert found.statuses == b'[{"IP":"a"}]'
    assert found.sent_wall == 1_700_000_000
    assert read_written(b'{"Status":null,"Time":5,"More":1}').statuses == b"[]"
    for value in (b"", b"[]", b'{"Time":5}', b'{"Status":[]}', b'{"Status":[],"Time":"5"}'):
        with pytest.raises(SourceError):
            read_written(value)
    for time in ("0", "-1", "1e12", "null", "true"):
        with pytest.raises(SourceError):
            read_written(b'{"Status":[],"Time":' + time.encode() + b"}")


STATUSES = st.sampled_from([b"[]", b'[{"IP":"a"}]', b'[{"IP":"]}"},{"IP":"b"}]', b"null", b"{}"])
ENDS = st.sampled_from(
    [
        *(b',"Time":5}', b',"Time":1700000000}', b',"Time":0}', b',"Time":100000000000}'),
        *(b',"Time":5.5}', b',"Time":5} ', b',"Time":5,"Status":[]}', b',"Time":5}}', b"}", b""),
        *(b' ,"Time":5}', b',"Time":5,"St\\u0061tus":[]}', b',"Time":5,"Time":6}', b',"Time":05}'),
    ]
)


@given(
    STATUSES, ENDS, st.sampled_from([b'{"Status":', b'{ "Status":', b'{"Time":4,"Status":']), ENDS
)
def test_what_is_not_read_again_is_what_would_be_read(
    statuses: bytes, first: bytes, front: bytes, then: bytes
) -> None:
    """Whatever follows, the shortcut says what a whole reading says, or nothing."""
    value, other = front + statuses + first, front + statuses + then
    try:
        read = read_written(value)
    except SourceError:
        return
    begin = begin_of(value, read.statuses)
    time = time_after(other, begin)
    if time is not None:
        again = read_written(other)
        assert (again.sent_wall, again.statuses) == (time, read.statuses)
    is_go = front == b'{"Status":' and statuses != b"null"
    if is_go and then == b',"Time":1700000000}' and read.statuses == statuses:
        assert time == 1_700_000_000


def test_lists_are_compared_by_what_they_hold() -> None:
    ours = b'["tcp://192.0.2.1:80","http://192.0.2.2:80"]'
    assert is_same_list(b'[ "tcp://192.0.2.1:80",\n"http:\\/\\/192.0.2.2:80" ]', ours)
    for other in (
        None,
        b"",
        b"[]",
        b"{}",
        b'["http://192.0.2.2:80","tcp://192.0.2.1:80"]',
        b"\xff",
    ):
        assert not is_same_list(other, ours)
    assert not is_same_list(None, b"[]")
