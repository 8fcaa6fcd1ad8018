"""How long from the put that decides to the decision; beside it, a bare watch of the same etcd.

Run: ``python tests/bench/bench_etcd.py``. The daemon's parts are wired as in the daemon, in this
process, which also sends the puts; etcd is a process of its own. Reported, not asserted. Goals:
median ≤ 10 ms, p99 ≤ 50 ms.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import trio

from dnslb.daemon.instance import Instance
from dnslb.daemon.load import load_config
from dnslb.model.status import Status
from tests.system.etcd import Etcd, stored

FLIPS = 300
AGENTS = ("a1", "a2", "a3")
NAME = "www.example.org"
Put = Callable[[], Awaitable[None]]
MakePut = Callable[[str, str], Put]


def addresses(count: int) -> list[str]:
    return [f"10.{i // 60_000}.{i // 240 % 250}.{i % 240 + 1}:80" for i in range(count)]


def configuration(directory: Path, url: str, api: str, count: int) -> Path:
    (directory / "state").mkdir()
    path = directory / "dnslb.toml"
    names = [addresses(count)[at : at + 500] for at in range(0, count, 500)]
    rows = [
        f'[lb."{NAME if not i else f"lb{i}.example.org"}"]\nup-after = 0\nendpoints = '
        + str([f"tcp://{address}" for address in some]).replace("'", '"')
        for i, some in enumerate(names)
    ]
    path.write_text(
        f'election = "singleton"\ninstance-identifier = "b"\nagents = ["a1", "a2", "a3"]\n'
        f'etcd = "{url}"\netcd-api = "{api}"\nstate-dir = "{directory / "state"}"\n'
        f'control-socket = "{directory / "s.sock"}"\n' + "\n".join(rows)
    )
    return path


@asynccontextmanager
async def putter(url: str, api: str) -> AsyncIterator[MakePut]:
    """Puts as a healthd does, by one connection; encoded beforehand, as in another process."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:

        def make(key: str, value: str) -> Put:
            if api == "v2":
                request = client.build_request("PUT", f"/v2/keys/{key}", data={"value": value})
            else:
                body = {"key": _b64(key), "value": _b64(value)}
                request = client.build_request("POST", "/v3/kv/put", json=body)

            async def put() -> None:
                (await client.send(request)).raise_for_status()

            return put

        yield make


async def decisions(directory: Path, url: str, api: str, count: int) -> list[float]:
    config = replace(
        load_config(["-cfg", str(configuration(directory, url, api, count))], {}),
        port_given=False,
    )
    instance = Instance(config)
    taken: list[float] = []
    every = addresses(count)

    def first_is(word: str) -> Callable[[Status], bool]:
        return lambda s: s.loadbalancers[NAME].endpoints[0].counts_as == word

    def value(up: bool) -> str:
        return stored({**dict.fromkeys(every, True), every[0]: up}, at=time.time())

    async with putter(url, api) as make, trio.open_nursery() as nursery:
        nursery.start_soon(instance.run)
        await instance.ready.wait()
        for agent in AGENTS:
            await make(agent, value(True))()
        await instance.status.wait_value(first_is("living"))
        up = True
        for _ in range(FLIPS if count < 1000 else FLIPS // 10):
            up = not up
            # The third agent always says up: the second "down" decides, or the first "up".
            decides, other = ("a1", "a2") if up else ("a2", "a1")
            if not up:
                await make(other, value(up))()
                await trio.sleep(0.02)
            put = make(decides, value(up))
            await trio.sleep(0.05)
            began = time.perf_counter()
            nursery.start_soon(put)
            await instance.status.wait_value(first_is("living" if up else "dead"))
            taken.append((time.perf_counter() - began) * 1e3)
            await trio.sleep(0.02)
            if up:
                await make(other, value(up))()
        instance.stop()
    return taken


async def bare(url: str, api: str, count: int) -> list[float]:
    """The same put, and a client that does nothing but watch one key."""
    value = stored(dict.fromkeys(addresses(count), True), at=time.time())
    taken: list[float] = []
    seen = trio.Event()

    async def watch() -> None:
        nonlocal seen
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=None) as client:
            body = {"create_request": {"key": _b64("bare")}}
            while True:
                call = (
                    client.stream("GET", "/v2/keys/bare", params={"wait": "true"})
                    if api == "v2"
                    else client.stream("POST", "/v3/watch", json=body)
                )
                async with call as answer:
                    watching.set()
                    async for line in answer.aiter_lines():
                        if '"value"' in line:
                            seen.set()

    watching = trio.Event()
    async with putter(url, api) as make, trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await watching.wait()
        for _ in range(FLIPS if count < 1000 else FLIPS // 10):
            put = make("bare", value)
            await trio.sleep(0.05)
            seen, began = trio.Event(), time.perf_counter()
            nursery.start_soon(put)
            await seen.wait()
            taken.append((time.perf_counter() - began) * 1e3)
        nursery.cancel_scope.cancel()
    return taken


def _b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def show(label: str, taken: list[float]) -> float:
    taken.sort()
    median, p99 = statistics.median(taken), taken[int(len(taken) * 0.99) - 1]
    print(f"{label:40} median {median:6.2f} ms   p99 {p99:6.2f} ms   max {taken[-1]:6.2f} ms")
    return median


def main() -> None:
    for api in ("v2", "v3"):
        with tempfile.TemporaryDirectory() as name:
            server = Etcd(Path(name) / "etcd")
            try:
                for count in (2, 10_000):
                    directory = Path(name) / str(count)
                    directory.mkdir()
                    label = f"{api}: put -> decision, {count} endpoints"
                    ours = show(label, trio.run(decisions, directory, server.url, api, count))
                    label = f"{api}: the same put -> bare watch"
                    floor = show(label, trio.run(bare, server.url, api, count))
                    print(f"{'ratio of medians':40} {ours / floor:6.2f}")
            finally:
                server.close()


if __name__ == "__main__":
    main()
