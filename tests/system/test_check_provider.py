"""``dnslb check provider`` against a real BIND and the AutoDNS stand-in; the canary, too."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from dnslb.daemon.command_line import run
from dnslb.daemon.verbs import canary as canary_module, check_provider
from dnslb.daemon.verbs.canary import Canary
from dnslb.errors import ProviderRefusal, ProviderTemporary
from dnslb.model.lease import FencingToken
from dnslb.model.rrset import RRset
from dnslb.providers import marker
from tests.system import stage
from tests.system.grounds import ZONE, AutoDnsGround, BindGround, Ground
from tests.system.named import POLICY, StartNamed

pytestmark = pytest.mark.usefixtures("log_settings", "unhurried")
Captured = pytest.CaptureFixture[str]
WWW, CANARY = f"www.{ZONE}", f"canary.{ZONE}"
OURS = marker.to_text(FencingToken("tests", 1_700_000_000, 0, "n1"))
THEIRS = marker.to_text(FencingToken("them", 1_700_000_000, 3, "n0"))


class Check:
    """Runs the verb with the configuration of a ground."""

    def __init__(self, ground: Ground, directory: Path, capsys: Captured, *names: str) -> None:
        self.ground = ground
        self._cfg = directory / "dnslb.toml"
        self._capsys = capsys
        verify = "off"
        if isinstance(ground, BindGround):
            verify = f"127.0.0.1:{ground.named.port}"
        lbs = "\n".join(f'"{name}" = ["tcp://192.0.2.9:80"]' for name in names or (WWW,))
        self._cfg.touch(0o600)
        self._cfg.write_text(
            f'election = "singleton"\n{ground.toml}verify-servers = "{verify}"\n'
            f"verify-timeout = 1\n[lb]\n{lbs}\n"
        )
        self.err = ""

    def text(self, *argv: str) -> tuple[int, str]:
        self._capsys.readouterr()
        code = run(["check", "provider", "-cfg", str(self._cfg), *argv])
        out, self.err = self._capsys.readouterr()
        return code, out

    def json(self, *argv: str) -> tuple[int, Any]:
        code, out = self.text("--json", *argv)
        return code, json.loads(out)

    def errors(self, *argv: str) -> list[str]:
        code, shown = self.json(*argv)
        errors = (f for f in shown["findings"] if f["level"] == "error")
        found = [f"{f['subject']}: {f['sentence']}" for f in errors]
        assert (code, shown["ok"]) == ((1, False) if found else (0, True))
        return found


@pytest.fixture
def check(ground: Ground, tmp_path: Path, capsys: Captured) -> Check:
    return Check(ground, tmp_path, capsys)


def test_a_sound_one_is_looked_at_and_left_alone(check: Check) -> None:
    ground = check.ground
    ground.set_values(WWW, "192.0.2.1", "192.0.2.2")
    ground.set_marker(OURS)
    before = ground.version()
    code, out = check.text()
    assert code == 0, out + check.err
    assert re.search(rf"ok +{WWW}: in {ZONE}: A 192.0.2.1, 192.0.2.2 \(TTL 60\)", out)
    assert re.search(rf"ok +{ZONE}: the marker is ours \(epoch 1700000000, term 0\)", out)
    assert re.search(r"its clock and ours are within 2 s", out)
    is_bind = isinstance(ground, BindGround)
    assert ("the server lets the key 'dnslb-key' change" in out) == is_bind
    assert ("unfenced" in out) != is_bind
    assert ground.version() == before


def test_what_is_wrong_is_told_all_at_once(
    ground: Ground, tmp_path: Path, capsys: Captured
) -> None:
    check = Check(ground, tmp_path, capsys, f"ftp.{ZONE}", "www.example.com", "a.example.net")
    ground.set_marker(THEIRS)
    before = ground.version()
    errors = check.errors()
    assert len(errors) == 3
    assert any("www.example.com and 1 more: the provider has no zone for it" in e for e in errors)
    assert f"ftp.{ZONE}: is a CNAME to mail.{ZONE} in {ZONE}" in errors[1]
    assert "belongs to owner id 'them'" in errors[2]
    assert f"'dnslb adopt {ZONE}'" in errors[2]
    assert ground.version() == before


def test_wrong_credentials_and_nobody_there(
    check: Check, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(check.ground, AutoDnsGround):
        monkeypatch.setenv("DNSLB_TEST_PASSWORD", "falsch")
        (error,) = check.errors()
        assert "rejected the credentials" in error
        assert "falsch" not in error
        (error,) = check.errors("-autodns-url=http://127.0.0.1:9")
        assert "cannot be asked" in error
    else:
        (error,) = check.errors("-bind-server=127.0.0.1:9")
        assert "cannot be reached by TCP: connection refused" in error.lower() or "refused" in error


def test_a_policy_that_would_refuse_is_seen_without_writing(
    named: StartNamed, tmp_path: Path, capsys: Captured
) -> None:
    policy = POLICY.replace("zonesub A AAAA", "name www.%(zone)s. A AAAA")
    ground = BindGround(tmp_path, named, policy)
    check = Check(ground, tmp_path, capsys, WWW, f"api.{ZONE}")
    before = ground.version()
    (error,) = check.errors()
    assert error.startswith(f"{ZONE}: api.{ZONE}: ")
    assert "refuses to change" in error
    assert "update-policy" in error
    assert ground.version() == before


def test_a_policy_without_the_marker_is_seen(
    named: StartNamed, tmp_path: Path, capsys: Captured
) -> None:
    policy = 'update-policy { grant "admin-key." zonesub ANY; grant "dnslb-key." zonesub A AAAA; };'
    check = Check(BindGround(tmp_path, named, policy), tmp_path, capsys)
    (error,) = check.errors()
    assert f"name _dnslb.{ZONE}. TXT" in error
    assert check.errors("-bind-ownership=off") == []


def test_without_names_the_provider_is_asked_all_the_same(
    ground: Ground, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Check(ground, tmp_path, capsys)
    text = check._cfg.read_text()
    check._cfg.write_text(text.partition("[lb]")[0])
    assert check.errors() == []
    monkeypatch.setenv("DNSLB_TEST_PASSWORD", "falsch")
    wrong = ["-bind-server=127.0.0.1:9"] if isinstance(ground, BindGround) else []
    assert len(check.errors(*wrong)) == 1


def test_a_clock_that_is_wrong_is_seen(check: Check) -> None:
    if not isinstance(check.ground, AutoDnsGround):
        return
    check.ground.api.clock_ahead_s = -90.0
    code, out = check.text()
    assert code == 0
    assert re.search(
        r"warning +autodns: its clock is (89|90|91) s behind ours: set both by NTP", out
    )


# ---------------------------------------------------------------------------------- the canary


@pytest.mark.parametrize("held", [None, OURS])
def test_a_canary_is_written_measured_and_removed(check: Check, held: str | None) -> None:
    ground = check.ground
    ground.set_marker(held)
    foreign = ground.foreign()
    code, shown = check.json("--canary", CANARY)
    assert code == 0, shown
    measured = shown["canary"]
    assert (measured["zone"], measured["left"]) == (ZONE, None)
    for key in ("write_seconds", "readable_seconds", "delete_seconds"):
        assert 0 < measured[key] < 10
    assert measured["ttl_asked"] == measured["ttl_stands"] == 1
    if isinstance(ground, BindGround):
        assert measured["fence"] == "holds"
        (served,) = measured["served"]
        assert served["seconds"] < 10
    else:
        assert measured["fence"] == "compared"
    assert ground.values(CANARY) == set()
    assert ground.foreign() == foreign
    assert ground.markers() == ([held] if held else [])
    assert shown["findings"][-1]["sentence"] == "nothing of the canary is left"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (WWW, "is configured; name one that nobody needs"),
        (f"mail.{ZONE}", "is there already"),
        (f"ftp.{ZONE}", "is there already"),
        (ZONE, "is a zone itself"),
        (f"_dnslb.{ZONE}", "has a meaning of its own"),
        (f"*.{ZONE}", "has a meaning of its own"),
        ("canary.example.com", "the provider has no zone for canary.example.com"),
        ("a..b", "is no DNS name"),
    ],
)
def test_a_name_that_somebody_may_need_is_refused(check: Check, name: str, told: str) -> None:
    before = check.ground.version()
    code, _ = check.text("--canary", name)
    assert code == 1
    assert told in check.err
    assert check.ground.version() == before


def test_what_a_killed_canary_left_is_named(check: Check) -> None:
    check.ground.set_values(CANARY, "192.0.2.1")
    code, _ = check.text("--canary", CANARY)
    assert code == 1
    assert "what a canary that was killed left: remove it by hand" in check.err
    check.ground.set_values(CANARY, "192.0.2.9")
    check.text("--canary", CANARY)
    assert "remove it" not in check.err


def test_a_foreign_zone_and_a_dry_run_get_no_canary(check: Check) -> None:
    ground = check.ground
    ground.set_marker(THEIRS)
    before = ground.version()
    errors = check.errors("--canary", CANARY)
    assert "belongs to owner id 'them', so nothing is written there" in errors[-1]
    code, _ = check.text("--canary", CANARY, "-dry-run")
    assert code == 1
    assert "-dry-run is set" in check.err
    (error,) = check.errors("--canary", CANARY, "-dry-run", "-owner-id=them")
    assert error.startswith(f"{CANARY}: -dry-run is set")
    assert ground.version() == before


# ------------------------------------------------------------------------- when things go wrong


@pytest.mark.parametrize("step", ["_take_token", "_create", "_wait_readable", "_try_fence"])
def test_an_interrupted_canary_is_removed(
    check: Check, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Ctrl-C after each step: nothing is left, and the exit code says that it failed."""
    foreign = check.ground.foreign()
    whole = getattr(Canary, step)

    async def interrupted(canary: Canary, *arguments: object) -> None:
        await whole(canary, *arguments)
        os.kill(os.getpid(), signal.SIGINT)
        await trio.sleep_forever()

    monkeypatch.setattr(Canary, step, interrupted)
    errors = check.errors("--canary", CANARY)
    assert errors == [f"{CANARY}: the canary was interrupted before everything was measured"]
    assert check.ground.values(CANARY) == set()
    assert check.ground.markers() == []
    assert check.ground.foreign() == foreign


def test_a_ttl_that_is_refused_is_told_and_another_one_tried(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Canary._write

    async def refuse(canary: Canary, wanted: RRset | None, token: Any = None) -> float:
        if wanted is not None and wanted.ttl < 30:
            raise ProviderRefusal("at least 30 s")
        return await write(canary, wanted, token)

    monkeypatch.setattr(Canary, "_write", refuse)
    code, shown = check.json("--canary", CANARY)
    assert code == 0
    assert shown["canary"]["ttl_stands"] == 60
    assert "a TTL of 1 s was refused: at least 30 s" in [f["sentence"] for f in shown["findings"]]


def test_a_canary_that_the_policy_refuses_says_so_once(
    named: StartNamed, tmp_path: Path, capsys: Captured
) -> None:
    policy = POLICY.replace("zonesub A AAAA", "name www.%(zone)s. A AAAA")
    check = Check(BindGround(tmp_path, named, policy), tmp_path, capsys)
    code, shown = check.json("--canary", CANARY)
    assert code == 1
    troubled = [f for f in shown["findings"] if f["level"] != "ok"]
    assert [f["subject"] for f in troubled] == [CANARY]
    assert "refuses to change" in troubled[0]["sentence"]
    assert shown["canary"]["left"] is None
    assert check.ground.markers() == []


def test_a_canary_that_takes_too_long_is_removed(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(canary: Canary) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(Canary, "_try_fence", hang)
    monkeypatch.setattr(check_provider, "LOOK_S_MAX", 1.0)
    code, out = check.text("--canary", CANARY)
    assert code == 1
    assert "took longer than 1 s" in check.err
    assert "nothing of the canary is left" in out
    assert check.ground.values(CANARY) == set()
    assert check.ground.markers() == []


def test_what_cannot_be_removed_is_named(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(canary: Canary) -> float:
        raise ProviderTemporary("the disk is full")

    monkeypatch.setattr(Canary, "_delete", fails)
    monkeypatch.setattr(canary_module, "CLEAN_S_MAX", 0.5)
    code, shown = check.json("--canary", CANARY)
    assert (code, shown["canary"]["left"]) == (1, CANARY)
    sentences = [f["sentence"] for f in shown["findings"] if f["level"] == "error"]
    assert sentences[0] == "the disk is full"
    assert f"{CANARY} A 192.0.2.1 may be left in {ZONE}" in sentences[1]
    assert "(the disk is full): remove it by hand" in sentences[1]
    assert f"'dnslb fence reset {ZONE}'" in sentences[2]
    assert check.ground.values(CANARY) == {"192.0.2.1"}


def test_an_address_that_somebody_else_put_there_stays(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def meddle(canary: Canary) -> None:
        await trio.to_thread.run_sync(check.ground.set_values, CANARY, "198.51.100.9")

    monkeypatch.setattr(Canary, "_try_fence", meddle)
    monkeypatch.setattr(canary_module, "CLEAN_S_MAX", 0.5)
    errors = check.errors("--canary", CANARY)
    assert f"somebody else writes {CANARY} A" in errors[0]
    assert check.ground.values(CANARY) == {"198.51.100.9"}


def test_an_instance_that_takes_the_zone_meanwhile_keeps_it(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(canary: Canary) -> None:
        await trio.to_thread.run_sync(check.ground.set_marker, OURS)

    monkeypatch.setattr(Canary, "_try_fence", take)
    code, shown = check.json("--canary", CANARY)
    assert (code, shown["canary"]["left"]) == (1, None)
    assert "an instance took the marker" in shown["findings"][-2]["sentence"]
    assert check.ground.markers() == [OURS]
    assert check.ground.values(CANARY) == set()


def test_a_fence_that_does_not_hold_is_an_error(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the provider compared nothing: the strange token is let through as ours."""
    monkeypatch.setattr(FencingToken, "_replace", lambda token, **changed: token)
    code, shown = check.json("--canary", CANARY)
    assert (code, shown["canary"]["fence"]) == (1, "broken")
    assert check.ground.values(CANARY) == set()
    assert check.ground.markers() == []


def test_a_canary_in_zone_files(tmp_path: Path, capsys: Captured) -> None:
    zone = tmp_path / f"{ZONE}.zone"
    zone.write_text(stage.ZONE)
    config = tmp_path / "dnslb.toml"
    config.write_text(
        f'election = "singleton"\nprovider = "file"\nfile-dir = "{tmp_path}"\n'
        f'[lb]\n"{WWW}" = ["tcp://192.0.2.9:80"]\n'
    )
    assert run(["check", "provider", "-cfg", str(config), "--canary", CANARY]) == 0
    out = capsys.readouterr().out
    assert "no marker is kept" in out
    assert "nothing of the canary is left" in out
    assert CANARY not in zone.read_text()
    assert "; nobody touches this\n" in zone.read_text()
