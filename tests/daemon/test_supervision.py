"""What `systemctl status` shows of a daemon: one line, the worst first; and when it is ready."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from dnslb.daemon import process
from dnslb.daemon.supervision import sentence
from dnslb.net.sdnotify import Notifier
from tests.doubles.operations import ep, lb, picture, row

CALM = picture(lb("a.example.org", ep("tcp://192.0.2.1:80")), attention=())


def test_a_calm_daemon() -> None:
    assert sentence(CALM) == "may write; 1 load balancer, 1 healthy"
    assert sentence(replace(CALM, lease=None)).startswith("may not write; ")
    assert sentence(replace(CALM, dry_run=True)).startswith("dry run; ")


def test_what_keeps_it_from_writing() -> None:
    assert sentence(replace(CALM, gate="cold start")).endswith(
        "; nothing is written yet: cold start"
    )


def test_the_worst_is_told_and_information_is_not() -> None:
    info, warning, critical = row("info"), row("warning"), row()
    assert sentence(replace(CALM, attention=(info,))) == sentence(CALM)
    both = sentence(replace(CALM, attention=(info, warning, critical)))
    assert both.endswith(f"; 1 critical: {critical.sentence}")
    two = sentence(replace(CALM, attention=(warning, warning)))
    assert two.endswith(f"; 2 warning: {warning.sentence}")


@pytest.mark.parametrize("started", [False, True])
async def test_a_reload_during_the_start_does_not_end_the_start(
    started: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY=1 after it would be taken for the daemon's own."""

    async def reload(*_: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(process, "reload", reload)
    monkeypatch.setattr(process, "described", lambda _: "as ever")
    instance: Any = SimpleNamespace(ready=trio.Event())
    if started:
        instance.ready.set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.setblocking(False)
        load: Any = None
        await process._reload(instance, load, Notifier(str(tmp_path / "notify")))
        if started:
            assert supervisor.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert supervisor.recv(1000) == b"READY=1\nSTATUS=as ever"
        with pytest.raises(BlockingIOError):
            supervisor.recv(1000)
