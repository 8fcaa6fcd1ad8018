"""``dnslb adopt`` and ``dnslb fence reset`` against a real BIND and the AutoDNS stand-in."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dnslb.daemon.command_line import run
from dnslb.model.lease import FencingToken
from dnslb.providers import marker
from tests.system.grounds import ZONE, BindGround, Ground
from tests.system.named import POLICY, StartNamed

pytestmark = pytest.mark.usefixtures("log_settings", "unhurried")
Captured = pytest.CaptureFixture[str]
THEIRS = marker.to_text(FencingToken("them", 1_700_000_000, 3, "n0"))
OURS = marker.to_text(FencingToken("tests", 1_700_000_000, 0, "n1"))


class Verbs:
    """Runs verbs with the configuration of a ground; ``err`` is what was told last."""

    def __init__(self, ground: Ground, directory: Path, capsys: Captured) -> None:
        self.ground = ground
        self.cfg = directory / "dnslb.toml"
        self.cfg.write_text(f'election = "singleton"\n{ground.toml}')
        self.cfg.chmod(0o600)
        self._capsys = capsys
        self.out = self.err = ""

    def run(self, *argv: str) -> int:
        self._capsys.readouterr()
        code = run([*argv, "-cfg", str(self.cfg)])
        self.out, self.err = self._capsys.readouterr()
        return code


@pytest.fixture
def verbs(ground: Ground, tmp_path: Path, capsys: Captured) -> Verbs:
    return Verbs(ground, tmp_path, capsys)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def typed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(text))


def token(ground: Ground) -> FencingToken:
    (text,) = ground.markers()
    return marker.from_text(text)


def test_a_zone_is_adopted_from_whom_was_named(verbs: Verbs) -> None:
    ground = verbs.ground
    ground.set_marker(THEIRS)
    foreign, before = ground.foreign(), ground.version()
    assert verbs.run("adopt", ZONE) == 1
    assert "names owner id 'them', epoch 1700000000, term 3" in verbs.out
    assert "no terminal to ask at: give --from OWNER; nothing was changed" in verbs.err
    assert verbs.run("adopt", ZONE, "--from", "someone") == 1
    assert "'someone' is not the owner id in the marker; nothing was changed" in verbs.err
    assert ground.version() == before
    assert verbs.run("adopt", ZONE, "--from=them") == 0
    assert "example.org belongs to 'tests' now." in verbs.out
    assert token(ground)[:3] == ("tests", 0, 0)
    assert ground.foreign() == foreign
    assert verbs.run("adopt", ZONE) == 0
    assert "nothing in example.org is to be adopted" in verbs.out


def test_the_owner_is_typed_at_a_terminal(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    verbs.ground.set_marker(THEIRS)
    typed("then\n", monkeypatch)
    assert verbs.run("adopt", ZONE) == 1
    typed("", monkeypatch)
    assert verbs.run("adopt", ZONE) == 1
    assert "nothing was typed, and nothing was changed" in verbs.err
    assert verbs.ground.markers() == [THEIRS]
    typed("them\n", monkeypatch)
    assert verbs.run("adopt", ZONE) == 0
    assert token(verbs.ground).owner_id == "tests"


def test_a_zone_of_nobody_needs_no_adoption(verbs: Verbs) -> None:
    assert verbs.run("adopt", ZONE) == 0
    assert "has no marker, so it is nobody's" in verbs.out
    assert verbs.ground.markers() == []


def test_a_marker_is_removed_after_its_zone_was_named(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = verbs.ground
    ground.set_marker(OURS)
    foreign, before = ground.foreign(), ground.version()
    assert verbs.run("fence", "reset", ZONE) == 1
    assert "names owner id 'tests'" in verbs.out
    assert "resigns at its next write; a single one stays so until it is restarted" in verbs.out
    assert "give --yes; nothing was changed" in verbs.err
    typed("example.com\n", monkeypatch)
    assert verbs.run("fence", "reset", ZONE) == 1
    assert ground.version() == before
    typed("Example.org.\n", monkeypatch)
    assert verbs.run("fence", "reset", "Example.ORG.") == 0
    assert "The marker of example.org is removed." in verbs.out
    assert ground.markers() == []
    assert ground.foreign() == foreign
    assert verbs.run("fence", "reset", ZONE, "--yes") == 0
    assert "has no marker: there is nothing to reset" in verbs.out


def test_what_is_no_marker_is_shown_and_only_reset(verbs: Verbs) -> None:
    verbs.ground.set_marker("hands off")
    assert verbs.run("adopt", ZONE, "--from", "them") == 1
    assert "'dnslb fence reset example.org' removes" in verbs.err
    assert verbs.run("fence", "reset", ZONE, "--yes") == 0
    assert "'hands off'" in verbs.out
    assert verbs.ground.markers() == []


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["adopt"], "expected one zone, found nothing; usage: dnslb adopt ZONE"),
        (["adopt", ZONE, "other"], "expected one zone, found 'other'"),
        (["adopt", "a..b"], "'a..b' is no DNS name"),
        (["adopt", "www.example.org"], "is no zone there: that name lies in example.org"),
        (["adopt", "example.com"], "is no zone there: the provider knows nothing of it"),
        (["adopt", ZONE, "--form", "x"], "there is no flag '--form'; did you mean -from?"),
        (["fence"], "expected fence reset; usage: dnslb fence reset ZONE"),
        (["fence", "rest", ZONE], "expected fence reset"),
        (["fence", "reset", "example.com", "--yes"], "is no zone there"),
    ],
)
def test_wrong_input_is_a_sentence(verbs: Verbs, argv: list[str], told: str) -> None:
    before = verbs.ground.version()
    assert verbs.run(*argv) == 1
    assert told in verbs.err
    assert verbs.err.count("\n") == 1
    assert verbs.ground.version() == before


def test_where_no_marker_is_kept(named: StartNamed, tmp_path: Path, capsys: Captured) -> None:
    verbs = Verbs(BindGround(tmp_path, named, POLICY), tmp_path, capsys)
    assert verbs.run("adopt", ZONE, "-bind-ownership=off") == 1
    assert "provider bind keeps no marker with -bind-ownership off" in verbs.err
    files = ["-provider=file", f"-file-dir={tmp_path}"]
    assert verbs.run("fence", "reset", ZONE, *files) == 1
    assert "provider file keeps no marker: nothing to change" in verbs.err


def test_help(capsys: Captured) -> None:
    for argv in (["adopt", "-h"], ["fence", "--help"], ["fence", "reset", "-help"]):
        assert run(argv) == 0
        assert capsys.readouterr().out.startswith("usage: dnslb ")
