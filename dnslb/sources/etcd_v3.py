"""etcd's v3 API by its JSON gateway: one stream with a watch for each key.

Not the source (`etcd`). A watch begins at the change after the last one seen of its key. What is
older than the watch itself was found, not seen to arrive; the first message of the watch says
how far the store was when it was set (etcd's api/etcdserverpb/rpc.proto, WatchResponse).

Law: as in `etcd_follow`. A store whose revision has gone back is another store, and what is
compacted is gone: both are read anew. What is too large to be read costs its own key alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dnslb.errors import SourceError
from dnslb.net.clock import Clock
from dnslb.sources.etcd_codec import Answer, EtcdRefused, Held, HistoryGone, Reading
from dnslb.sources.etcd_codec_v3 import (
    WatchNews,
    v3_credentials,
    v3_news,
    v3_put_over,
    v3_range,
    v3_read_revisions,
    v3_reading,
    v3_refusal,
    v3_revisions,
    v3_token,
    v3_watch,
    v3_written,
)
from dnslb.sources.etcd_follow import Login, Place, Places, See, Seen, seen_change
from dnslb.sources.etcd_http import AnswerTooLarge, EtcdHttp

BEHIND_S_MAX = 5.0
"""A change that the watch has not shown after so long, it does not show at all."""
REVISIONS_AT_ONCE = 64  # etcd takes 128 questions in one
# Ends a watch at a member that has lost the others, which would show nothing for ever.
_WITH_LEADER = {"Grpc-Metadata-hasleader": "true"}


class EtcdV3:
    """Logs in for a token, and with that."""

    name = "v3"

    def __init__(self, http: EtcdHttp, clock: Clock, login: Login) -> None:
        self._http = http
        self._clock = clock
        self._login = login
        self._token: str | None = None
        self._places = Places(clock)
        self._unseen: dict[str, tuple[int, float]] = {}

    async def read(self, url: str, key: str) -> Reading:
        """What is too large is shown as empty, with its revision."""
        try:
            return await self._read(url, key)
        except AnswerTooLarge:
            bare = await self._read(url, key, keys_only=True)
        try:
            # What stands there since just now may be another value, and well.
            return await self._read(url, key)
        except AnswerTooLarge:
            return bare

    async def _read(self, url: str, key: str, *, keys_only: bool = False) -> Reading:
        content = v3_range(key, keys_only=keys_only)
        return v3_reading(await self._post(url, "/v3/kv/range", content), key)

    async def write(self, url: str, over: Held, value: bytes) -> int:
        return v3_written(await self._post(url, "/v3/kv/txn", v3_put_over(over, value)))

    async def present(self, url: str, keys: Sequence[str]) -> dict[str, int]:
        """Which of ``keys`` have a value, and when each was changed last."""
        found: dict[str, int] = {}
        for start in range(0, len(keys), REVISIONS_AT_ONCE):
            some = keys[start : start + REVISIONS_AT_ONCE]
            answer = await self._post(url, "/v3/kv/txn", v3_revisions(some))
            found |= v3_read_revisions(answer, some)
        return found

    async def check(self, url: str) -> None:
        """Holds what the watch has shown against what stands there."""
        now_mono = self._clock.now().mono
        unseen: dict[str, tuple[int, float]] = {}
        for key, revision in (await self.present(url, self._places.keys)).items():
            place = self._places.get(key)
            if place is None or revision < place.next_index:
                continue
            at, since_mono = self._unseen.get(key, (0, now_mono))
            if at != place.next_index:
                since_mono = now_mono
            if now_mono - since_mono > BEHIND_S_MAX:
                raise SourceError(f"{url}: the watch does not show what changes")
            unseen[key] = (place.next_index, since_mono)
        self._unseen = unseen

    async def follow(
        self, url: str, keys: Sequence[str], see: See, live: Callable[[], None]
    ) -> None:
        self._places.keep(keys)
        self._unseen = {}
        while True:
            read_mono: dict[str, float] = {}
            for key in keys:
                if self._places.resumable(key) is None:
                    reading = await self.read(url, key)
                    read_mono[key] = self._places.begin(key, reading).alive_mono
                    see(Seen(reading.held, self._clock.now(), stored=True))
            try:
                await self._watch(url, keys, read_mono, see, live)
            except HistoryGone as gone:
                self._places.read_anew(keys, gone)
            except AnswerTooLarge as error:
                await self._pass_over(url, error)

    async def _pass_over(self, url: str, error: AnswerTooLarge) -> None:
        """The watch brings more at once than is read, and of which key is not known: those that
        have changed are read anew, the others go on where they are. Raises ``error`` when none
        has, as then it was no change."""
        keys = self._places.keys
        store_index = (await self._read(url, keys[0], keys_only=True)).store_index
        found = await self.present(url, keys)
        unchanged = [
            key
            for key in keys
            if (place := self._places.get(key)) is not None
            # What is gone may have gone in any change.
            and found.get(key, store_index) < place.next_index
        ]
        if len(unchanged) == len(keys):
            raise error
        self._places.keep(unchanged)

    async def _watch(
        self,
        url: str,
        keys: Sequence[str],
        read_mono: Mapping[str, float],
        see: See,
        live: Callable[[], None],
    ) -> None:
        """``read_mono``: when those keys were read that were not followed before."""
        places = {key: place for key in keys if (place := self._places.get(key)) is not None}
        positions = {key: place.next_index for key, place in places.items()}
        set_at = created = 0
        headers = {**_WITH_LEADER, **await self._authorization(url)}
        content = v3_watch(positions)
        async with self._http.open(
            url, "POST", "/v3/watch", content=content, headers=headers
        ) as stream:
            if stream.status != 200:
                raise v3_refusal(await stream.answer())
            while (line := await stream.line()) is not None:
                news = self._news(line)
                _check_same(news, places, positions)
                now = self._clock.now()
                if news.created:
                    created += 1
                    set_at = max(set_at, news.header.revision)
                    if created == len(places):
                        live()
                for held in news.held():
                    if (place := places.get(held.key)) is None:
                        continue
                    backlog, watched_mono = held.index <= set_at, read_mono.get(held.key)
                    see(seen_change(held, now, backlog=backlog, watched_mono=watched_mono))
                    place.next_index = held.index + 1
                for place in places.values():
                    place.alive_mono = now.mono
        raise SourceError(f"{url}: the watch ended")

    def _news(self, line: bytes) -> WatchNews:
        try:
            return v3_news(line)
        except EtcdRefused as error:
            if error.unauthorized:
                self._token = None
            raise

    async def _post(self, url: str, path: str, content: bytes) -> Answer:
        had_token = self._token is not None
        headers = await self._authorization(url)
        answer = await self._http.call(url, "POST", path, content=content, headers=headers)
        if answer.status == 401 and self._login.user is not None:
            # A token ends with its time, and with the member that gave it.
            self._token = None
            if had_token:
                return await self._post(url, path, content)
        return answer

    async def _authorization(self, url: str) -> dict[str, str]:
        if self._login.user is None:
            return {}
        if self._token is None:
            content = v3_credentials(self._login.user, self._login.password())
            answer = await self._http.call(url, "POST", "/v3/auth/authenticate", content=content)
            self._token = v3_token(answer)
        return {"Authorization": self._token}


def _check_same(news: WatchNews, places: dict[str, Place], positions: dict[str, int]) -> None:
    """The store that is watched is the one that was read, and no further back."""
    head = news.header
    if any(place.cluster != head.cluster for place in places.values()):
        raise HistoryGone("the store is another one")
    if news.created and head.revision < max(positions.values(), default=0) - 1:
        raise HistoryGone("the store has gone back")
