"""etcd's v2 API, the only one that the Go programs know: one long poll for each key.

Not the source (`etcd`). A poll waits for the change after the last one seen, so that nothing is
missed between two polls; etcd keeps the last thousand changes (Documentation/v2/api.md).

Law: as in `etcd_follow`. A store whose index has gone back is another store: it is read anew.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import quote, urlencode

import trio

from dnslb.errors import SourceError
from dnslb.net.clock import Clock
from dnslb.sources.etcd_codec import Answer, Held, HistoryGone, Reading
from dnslb.sources.etcd_codec_v2 import v2_index, v2_reading, v2_speaks
from dnslb.sources.etcd_follow import Login, Place, Places, See, Seen, run_abreast, seen_change
from dnslb.sources.etcd_http import AnswerTooLarge, EtcdHttp, OpenAnswer

POLL_S_MAX = 25.0
"""Then the poll is set anew, in case that nobody is there any more."""
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class EtcdV2:
    """Logs in with each request."""

    name = "v2"

    def __init__(self, http: EtcdHttp, clock: Clock, login: Login) -> None:
        self._http = http
        self._clock = clock
        self._login = login
        self._places = Places(clock)

    async def speaks(self, url: str, key: str) -> bool:
        """Whether v2 is served there. Raises `SourceError` when that cannot be told."""
        return v2_speaks(await self._get(url, key))

    async def read(self, url: str, key: str) -> Reading:
        return v2_reading(await self._get(url, key), key)

    async def write(self, url: str, over: Held, value: bytes) -> int:
        where = "prevExist=false" if over.value is None else f"prevIndex={over.index}"
        answer = await self._http.call(
            url,
            "PUT",
            f"{_path(over.key)}?{where}",
            content=urlencode({"value": value}).encode(),
            headers={**_FORM, **self._headers()},
        )
        return v2_reading(answer, over.key).held.index

    async def check(self, url: str) -> None:
        """Nothing to do: a poll sees what was missed as soon as it is set anew."""
        await trio.lowlevel.checkpoint()

    async def follow(
        self, url: str, keys: Sequence[str], see: See, live: Callable[[], None]
    ) -> None:
        self._places.keep(keys)
        waiting = set(keys)

        def begun(key: str) -> None:
            if key in waiting:
                waiting.remove(key)
                if not waiting:
                    live()

        await run_abreast(*(partial(self._follow, url, key, see, begun) for key in keys))

    async def _follow(self, url: str, key: str, see: See, begun: Callable[[str], None]) -> None:
        watched_mono: float | None = None
        while True:
            place = self._places.resumable(key)
            if place is None:
                try:
                    reading = await self.read(url, key)
                except AnswerTooLarge as error:
                    reading = _too_large(key, error)
                place = self._places.begin(key, reading)
                watched_mono = place.alive_mono
                see(Seen(reading.held, self._clock.now(), stored=True))
            begun(key)
            try:
                if await self._poll(url, key, place, watched_mono, see):
                    watched_mono = place.alive_mono
            except HistoryGone as gone:
                self._places.read_anew((key,), gone)

    async def _poll(
        self, url: str, key: str, place: Place, watched_mono: float | None, see: See
    ) -> bool:
        """One long poll: tells a change, moves ``place`` behind it and returns True, or ends
        without one. ``watched_mono``: when this connection had missed nothing for certain."""
        path = f"{_path(key)}?wait=true&waitIndex={place.next_index}"
        with trio.move_on_after(POLL_S_MAX):
            async with self._http.open(url, "GET", path, headers=self._headers()) as poll:
                store_index = v2_index(poll.headers)
                if poll.status == 200:
                    _check_same(poll, place, store_index)
                try:
                    answer = await poll.answer()
                except AnswerTooLarge:
                    see(Seen(_unreadable(key, store_index), self._clock.now(), stored=True))
                    place.next_index = max(place.next_index, store_index) + 1
                    return False
            if not answer.body:
                raise SourceError(f"{url}: a long poll ended without an event")
            held = v2_reading(answer, key).held
            now = self._clock.now()
            backlog = held.index <= store_index
            see(seen_change(held, now, backlog=backlog, watched_mono=watched_mono))
            place.next_index = held.index + 1
            place.alive_mono = now.mono
            return True
        return False

    async def _get(self, url: str, key: str) -> Answer:
        # A quorum read: a member that was cut off would show what was.
        path = f"{_path(key)}?quorum=true"
        return await self._http.call(url, "GET", path, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        if self._login.user is None:
            return {}
        pair = f"{self._login.user}:{self._login.password()}".encode()
        return {"Authorization": f"Basic {b64encode(pair).decode('ascii')}"}


def _check_same(poll: OpenAnswer, place: Place, store_index: int) -> None:
    cluster = poll.headers.get("x-etcd-cluster-id", "")
    if store_index < place.next_index - 1 or cluster != place.cluster:
        raise HistoryGone("the store is another one, or has gone back")


def _unreadable(key: str, index: int) -> Held:
    """Stands for what is too large: this key's trouble alone, the others are not held up."""
    return Held(key, b"", index)


def _too_large(key: str, error: AnswerTooLarge) -> Reading:
    index = v2_index(error.headers)
    return Reading(_unreadable(key, index), index, error.headers.get("x-etcd-cluster-id", ""))


def _path(key: str) -> str:
    return f"/v2/keys/{quote(key, safe='')}"
