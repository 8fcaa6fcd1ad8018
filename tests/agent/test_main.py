"""The command as a process: its exit codes, its words, and that signals end it in peace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from dnslb.agent.main import run
from dnslb.net.tls import TlsFiles
from tests.doubles.healthd import GoHealthd
from tests.doubles.pki import Authority

ROOT = Path(__file__).resolve().parents[2]
START = "import sys; from dnslb.agent.main import run; sys.exit(run(sys.argv[1:]))"


def flags(files: TlsFiles, *urls: str) -> list[str]:
    upstreams = [part for url in urls for part in ("-upstream", url)]
    return ["-ca", str(files.ca), "-crt", str(files.cert), "-key", str(files.key), *upstreams]


def test_wrong_flags_and_files_are_told_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.crt")
    assert run(["-interval", "0", "-crt", missing, "-key", missing]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "dnslb agent: no upstream is given: expected -upstream https://host[:port]",
        "dnslb agent: no CA is given: expected -ca FILE",
        "dnslb agent: -interval '0': expected 0.1 to 3600 seconds",
        f"dnslb agent: {missing} cannot be read: No such file or directory",
    ]


def test_a_key_of_another_certificate_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    files, other = authority.issue(common_name="a"), authority.issue(common_name="b")
    mixed = TlsFiles(ca=files.ca, cert=files.cert, key=other.key)
    assert run(flags(mixed, "https://127.0.0.1")) == 1
    assert capsys.readouterr().err == (
        f"dnslb agent: {other.key}: the key does not belong to the certificate {files.cert}\n"
    )


def test_help_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("usage: dnslb agent ")
    assert said.err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_0(
    tmp_path: Path, nursery: trio.Nursery, number: signal.Signals
) -> None:
    authority = Authority(tmp_path)
    healthd = GoHealthd(authority.issue("127.0.0.1", name="server"), ["none://192.0.2.1:80"])
    await nursery.start(healthd.serve)
    arguments = flags(authority.issue(common_name="fra-1"), healthd.url)
    supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    supervisor.bind(str(tmp_path / "notify"))
    supervisor.setblocking(False)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-W", "error", "-c", START, "-name", "fra-1", "-json-logging", *arguments],
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
    )
    try:
        with trio.fail_after(20):
            await healthd.wait_statuses("fra-1", True)
            process.send_signal(number)
            assert await process.wait() == 0
            assert process.stderr is not None
            lines = [json.loads(line) for line in (await read(process.stderr)).splitlines()]
    finally:
        if process.returncode is None:
            process.kill()
    assert [line["level"] for line in lines] == ["info"] * len(lines)
    assert lines[0]["msg"] == "agent fra-1 started"
    assert lines[-1]["msg"] == f"agent fra-1 stops: {number.name}"
    with supervisor:
        told = [supervisor.recv(1000) for _ in range(2)]
        assert told[0] == b"READY=1\nSTATUS=no upstream has answered yet"
        while not told[-1].startswith(b"STOPPING=1"):
            told.append(supervisor.recv(1000))
    nursery.cancel_scope.cancel()


async def test_out_of_reach_it_goes_on_and_says_why_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    arguments = flags(authority.issue(common_name="fra-1"), "https://127.0.0.1:1")
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", START, "-name", "fra-1", "-keep-alive", "60", *arguments],
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stderr is not None
    text = b""
    with trio.fail_after(20):
        while b"connection refused" not in text:
            text += await process.stderr.receive_some()
        process.terminate()
        assert await process.wait() == 0
    lines = (text + await read(process.stderr)).decode().splitlines()
    assert "-keep-alive 60: reports older than 45 s count for nothing" in lines[0]
    assert lines[1].endswith("info agent fra-1 started")
    assert lines[2].endswith("warning https://127.0.0.1:1/: connection refused")
    assert len(lines) == 4


async def read(stream: trio.abc.ReceiveStream) -> bytes:
    parts = [part async for part in stream]
    return b"".join(parts)
