"""The closed loop: endpoints live and die, a real named answers, and the daemon knows when."""

from __future__ import annotations

import shlex
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest

from tests.system.grounds import BindGround
from tests.system.named import Named, NamedZone, StartNamed
from tests.system.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def serve(stage: Stage, start: StartNamed) -> Named:
    """A server that reads the zone files that dnslb writes, and is told to after each write."""
    server = start(NamedZone("example.org", "", ""))
    file = server.directory / "example.org.db"
    file.unlink()
    file.symlink_to(stage.zone)
    server.rndc("reload", "example.org")
    command = shlex.join(server.rndc_command("reload", "example.org"))
    stage.more = (
        f"file-reload-command = '{command}'\nverify-servers = \"127.0.0.1:{server.port}\"\n"
        "verify-timeout = 1\n"
    )
    stage.configure()
    return server


def served(server: Named) -> set[str]:
    """The last octets that it answers for www."""
    query = dns.message.make_query("www.example.org", "A")
    answer = dns.query.udp(query, "127.0.0.1", port=server.port, timeout=5)
    return {r.to_text().rpartition(".")[2] for rrset in answer.answer for r in rrset}


def newest(stage: Stage) -> Any:
    """The newest change; one without a state while there is none."""
    changes = stage.json("changes", "--all")
    return max(changes, key=lambda c: c["created_at"], default={"state": None, "after": None})


def kinds(stage: Stage) -> list[str]:
    return [row["kind"] for row in stage.json("status")["attention"]]


def metrics(stage: Stage) -> str:
    port = stage.json("status")["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_a_death_is_published_when_the_server_answers_so(stage: Stage, named: StartNamed) -> None:
    server = serve(stage, named)
    stage.start()
    stage.wait_answer("1", "2")
    stage.wait(lambda: newest(stage)["state"] == "published")
    stage.endpoints[1].down()
    stage.wait(lambda: newest(stage)["after"] == ["192.0.2.1"])
    stage.wait(lambda: newest(stage)["state"] == "published")
    assert served(server) == {"1"}
    change = newest(stage)
    assert change["created_at"] <= change["applied_at"] <= change["published_at"]
    assert kinds(stage) == ["degraded"]


def test_a_server_that_is_down_delays_no_change_and_is_named_until_it_answers(
    stage: Stage, named: StartNamed
) -> None:
    server = serve(stage, named)
    stage.start()
    stage.wait_answer("1", "2")
    stage.wait(lambda: newest(stage)["state"] == "published")
    server.stop()
    for endpoint, left in ((stage.endpoints[1].down, ("1",)), (stage.endpoints[1].up, ("1", "2"))):
        endpoint()
        stage.wait_answer(*left)
    stage.wait(lambda: "not-published" in kinds(stage))
    (row,) = [r for r in stage.json("status")["attention"] if r["kind"] == "not-published"]
    assert row["severity"] == "warning"
    assert f"127.0.0.1:{server.port} does not answer: connection refused" in row["sentence"]
    assert "www.example.org A" in row["sentence"]
    states = [change["state"] for change in stage.json("changes", "--all")]
    assert states[:2] == ["applied", "applied"]
    assert set(states[2:]) == {"published"}
    server.start()
    stage.wait(lambda: "not-published" not in kinds(stage))
    assert newest(stage)["state"] == "published"
    assert served(server) == {"1", "2"}


def test_changes_go_out_while_a_server_never_answers(stage: Stage) -> None:
    """Verification hangs; writing does not even notice."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        stage.more = f'verify-servers = "127.0.0.1:{deaf.getsockname()[1]}"\n'
        stage.configure()
        stage.start()
        stage.wait_answer("1", "2")
        stage.endpoints[1].down()
        stage.wait_answer("1")
        stage.endpoints[1].up()
        stage.wait_answer("1", "2")
        changes = stage.json("changes", "--all")
        assert len(changes) >= 3
        assert {change["state"] for change in changes} == {"applied"}
        assert stage.stop() == 0


def test_without_anybody_to_ask_nothing_is_called_published(stage: Stage) -> None:
    stage.start()
    stage.wait_answer("1", "2")
    stage.wait(lambda: newest(stage)["state"] == "applied")
    assert "not-published" not in kinds(stage)


def test_a_secondary_of_bind_lags_until_it_transfers(tmp_path: Path, named: StartNamed) -> None:
    """The primary has the change; what counts is what every server answers."""
    ground = BindGround(tmp_path, named)
    primaries = f'primaries port {ground.named.port} {{ 127.0.0.1 key "admin-key."; }};'
    options = f"{primaries} masterfile-format text;"
    second = named(NamedZone("example.org", "", options, "secondary"))
    second.rndc("retransfer", "example.org")
    (tmp_path / "stage").mkdir()
    stage = Stage(tmp_path / "stage", publisher=ground.toml)
    stage.more = (
        f'verify-servers = ["127.0.0.1:{ground.named.port}", "127.0.0.1:{second.port}"]\n'
        "verify-timeout = 1\n"
    )
    stage.configure()
    try:
        stage.start()
        stage.wait(lambda: "not-published" in kinds(stage))
        stage.wait(lambda: ground.values("www.example.org") == {"192.0.2.1", "192.0.2.2"})
        (zone,) = stage.json("status")["zones"]
        (lag,) = zone["lagging"]
        assert (lag["server"], lag["silent"], lag["overdue"]) == (
            f"127.0.0.1:{second.port}",
            False,
            True,
        )
        assert f"127.0.0.1:{second.port} answers" in stage.ctl("changes").stdout
        assert "dnslb_zone_server_lagging{" in metrics(stage)
        second.rndc("retransfer", "example.org")
        stage.wait(lambda: newest(stage)["state"] == "published")
        stage.wait(lambda: "not-published" not in kinds(stage))
        assert "dnslb_zone_server_lagging{" not in metrics(stage)
    finally:
        stage.close()
