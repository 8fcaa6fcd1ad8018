"""The daemon as a process that publishes to a real named, through good days and rivals."""

from __future__ import annotations

import base64
import random
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.message
import dns.query
import pytest

from dnslb.model.lease import FencingToken
from dnslb.providers import marker
from dnslbctl.client import Client
from tests.system.grounds import BindGround
from tests.system.holding_proxy import HoldingProxy
from tests.system.named import HOST, KEY, Named, NamedZone, StartNamed, key_statement
from tests.system.stage import Stage

WWW = "www.example.org"
RIVAL = marker.to_text(FencingToken("tests", 10**12, 1, "rival"))


def bind_toml(server: Named, directory: Path, port: int = 0) -> str:
    """``port``: of what stands before the server."""
    key = directory / "tsig.key"
    key.write_text(key_statement(KEY))
    key.chmod(0o600)
    return (
        f'provider = "bind"\nowner-id = "tests"\nbind-server = "{HOST}:{port or server.port}"\n'
        f'bind-key-file = "{key}"\n'
    )


class Scene:
    """A daemon, its endpoints, and named with a proxy before it."""

    def __init__(self, directory: Path, start: StartNamed) -> None:
        self.ground = BindGround(directory, start)
        self.named = self.ground.named
        self.proxy = HoldingProxy(self.named.address)
        toml = bind_toml(self.named, directory, self.proxy.port)
        self.stage = Stage(directory, publisher=toml)

    def close(self) -> None:
        self.proxy.close()
        self.stage.close()

    def answer(self) -> set[str]:
        """The last octets of what named answers for www."""
        query = dns.message.make_query(WWW, "A")
        found = dns.query.udp(query, self.named.address[0], port=self.named.port, timeout=5)
        return {r.to_text().rpartition(".")[2] for rrset in found.answer for r in rrset}

    def wait_answer(self, *octets: str) -> None:
        self.stage.wait(lambda: self.answer() == set(octets))

    def kinds(self) -> list[str]:
        return [row["kind"] for row in self.stage.json("status")["attention"]]

    def signal(self, number: int) -> None:
        assert self.stage.process is not None
        self.stage.process.send_signal(number)


@pytest.fixture
def scene(tmp_path: Path, named: StartNamed) -> Iterator[Scene]:
    made = Scene(tmp_path, named)
    yield made
    made.close()


def test_a_newcomer_publishes_and_a_death_changes_the_answer(scene: Scene) -> None:
    foreign = scene.ground.foreign()
    scene.stage.start()
    scene.wait_answer("1", "2")
    status = scene.stage.json("status")
    assert (status["provider"], status["fenced"]) == ("bind", True)
    (text,) = scene.ground.markers()
    assert marker.from_text(text).owner_id == "tests"
    scene.stage.endpoints[0].down()
    scene.wait_answer("2")
    scene.stage.endpoints[0].up()
    scene.wait_answer("1", "2")
    assert scene.stage.stop() == 0
    assert scene.ground.foreign() == foreign


def test_named_may_restart_at_any_time(scene: Scene) -> None:
    scene.stage.start()
    scene.wait_answer("1", "2")
    scene.named.stop()
    scene.stage.endpoints[0].down()
    scene.stage.wait(lambda: "down" in {e["state"] for e in scene.stage.json("endpoints")})
    scene.named.start()
    scene.wait_answer("2")


def test_the_secret_is_shown_to_nobody(scene: Scene) -> None:
    stage = scene.stage
    stage.start("-debug")
    scene.wait_answer("1", "2")
    scene.named.rndc("freeze", "example.org")
    stage.endpoints[0].down()
    stage.wait(lambda: "rndc thaw" in stage.ctl("status").stdout + stage.log)
    told = [stage.ctl("--json", verb).stdout for verb in ("status", "changes", "endpoints")]
    told += [stage.ctl(*verb).stdout for verb in (("events",), ("why", WWW))]
    port = stage.json("status")["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        told.append(answer.read().decode())
    assert stage.stop() == 0
    everything = "\n".join([*told, stage.log])
    assert "example.org" in everything
    for form in (KEY.secret.decode(), base64.b64encode(KEY.secret).decode(), KEY.secret.hex()):
        assert form not in everything
        assert form[:12] not in everything


# -------------------------------------------------------------------------------- the fence


def assert_stays(scene: Scene, version: object) -> None:
    """For longer than a deposed writer would take to do harm."""
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        assert scene.ground.version() == version
        time.sleep(0.05)


def test_a_daemon_that_sleeps_between_plan_and_write_changes_nothing(scene: Scene) -> None:
    scene.stage.start()
    scene.wait_answer("1", "2")
    scene.signal(signal.SIGSTOP)
    scene.stage.endpoints[0].down()
    scene.ground.set_marker(RIVAL)
    version = scene.ground.version()
    scene.signal(signal.SIGCONT)
    scene.stage.wait(lambda: "another writer" in scene.stage.log)
    assert_stays(scene, version)
    assert scene.answer() == {"1", "2"}
    assert scene.kinds()


@pytest.mark.parametrize("stopped", [False, True])
def test_an_update_that_arrives_after_another_took_over_changes_nothing(
    scene: Scene, stopped: bool
) -> None:
    """Beyond the last gate, in the network: only the server can refuse it there."""
    scene.stage.start()
    scene.wait_answer("1", "2")
    scene.proxy.hold_next()
    scene.stage.endpoints[0].down()
    assert scene.proxy.held.wait(timeout=20)
    if stopped:
        scene.signal(signal.SIGSTOP)
    scene.ground.set_marker(RIVAL)
    version = scene.ground.version()
    scene.proxy.release()
    if stopped:
        time.sleep(0.2)
        scene.signal(signal.SIGCONT)
    scene.stage.wait(lambda: "another writer" in scene.stage.log)
    assert_stays(scene, version)
    assert scene.answer() == {"1", "2"}
    assert scene.ground.markers() == [RIVAL]


# ------------------------------------------------------------------------- a thousand flips

NAMES = tuple(f"lb{i}.example.org" for i in range(20))
STEERSMEN = 16
FOREIGN = "".join(
    f"host{i} {300 + i} A 198.51.100.{i % 250}\nhost{i} AAAA 2001:db8:1::{i:x}\n"
    f'host{i} TXT "record {i}" "; ( not ours"\nhost{i} MX {i} host{i + 1}\n'
    f"alias{i} CNAME host{i}\n"
    for i in range(100)
)


def flip_configuration(stage: Stage) -> str:
    """Nobody checks these endpoints: what lives is what people say."""
    head = stage.config.read_text().partition("[lb.")[0]
    rows = "\n".join(
        f'"{name}" = [' + ", ".join(f'"none://10.0.{i}.{j}:80"' for j in range(1, 5)) + "]"
        for i, name in enumerate(NAMES)
    )
    return f'verify-servers = "off"\n{head}[lb]\n{rows}\n'.replace("= 0.05", "= 0.001")


def test_foreign_records_are_equal_after_a_thousand_random_flips(
    tmp_path: Path, named: StartNamed
) -> None:
    """Sixteen people steer at once, so that flips of many names meet in one update."""
    server = named(NamedZone("example.org", FOREIGN))
    stage = Stage(tmp_path, publisher=bind_toml(server, tmp_path))
    stage.config.write_text(flip_configuration(stage))

    def lines(ours: bool) -> list[str]:
        starts = tuple(f"{name}. " for name in NAMES)
        return [
            line
            for line in server.records("example.org")
            if line.startswith(starts) == ours and not line.startswith("_dnslb.")
        ]

    foreign = lines(ours=False)
    assert len(foreign) >= 500
    serial = server.serial("example.org")
    stage.start()
    try:
        living = flip(stage, random.Random(7))
        wanted = {f"{name}. 60 IN A {address}" for name, all_ in living.items() for address in all_}
        stage.wait(lambda: {" ".join(line.split()) for line in lines(ours=True)} == wanted)
        assert stage.stop() == 0
    finally:
        stage.close()
    assert lines(ours=False) == foreign
    # How many flips meet in one update is a matter of the machine; they were many updates.
    assert server.serial("example.org") - serial > 10


def flip(stage: Stage, luck: random.Random) -> dict[str, set[str]]:
    """Endpoints die and live by word of mouth; returns those that live in the end, by name."""
    living: dict[str, set[str]] = {name: set() for name in NAMES}
    flips = [(name, j) for name in NAMES for j in range(1, 5)]
    flips += [(luck.choice(NAMES), luck.randint(1, 4)) for _ in range(1000)]

    def steer(own: list[tuple[str, int]]) -> None:
        client = Client(str(stage.socket), 30.0)
        for name, j in own:
            address = f"10.0.{NAMES.index(name)}.{j}"
            # The last one stays: what happens without it is not what is tried here.
            kind = "force-down" if living[name] > {address} else "force-up"
            living[name] = (
                living[name] - {address} if kind == "force-down" else living[name] | {address}
            )
            body = {"kind": kind, "subjects": [address], "lb": name, "reason": "a test"}
            client.post("/commands", body, 30.0)

    with ThreadPoolExecutor(STEERSMEN) as pool:
        parts = [[f for f in flips if NAMES.index(f[0]) % STEERSMEN == n] for n in range(STEERSMEN)]
        list(pool.map(steer, parts))
    return living
