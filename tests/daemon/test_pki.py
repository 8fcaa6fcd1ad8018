"""``dnslb pki``: what it makes is what OpenSSL and our own TLS accept, and nothing else is."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dnslb.daemon.command_line import run
from dnslb.daemon.verbs.authority import Authority, Files, Wish, make_authority
from dnslb.daemon.verbs.pki import HELP
from dnslb.errors import DnslbError
from dnslb.net.clock import wall_s
from dnslb.net.tls import CertificateNames, TlsFiles, client_context, server_context
from tests.net.certificates import encrypt_key
from tests.net.handshake import HOST, meet

Captured = pytest.CaptureFixture[str]
DAY_S = 86_400.0
MEMBER = ("-role", "member", "-host", HOST, "--host=[2001:db8::1]", "-host", "192.0.2.1")


@pytest.fixture
def pki(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> Path:
    """A CA as ``dnslb pki init`` makes it, in the directory where it is looked for."""
    monkeypatch.chdir(tmp_path)
    assert run(["pki", "init"]) == 0
    capsys.readouterr()
    return tmp_path / "pki"


def issue(*words: str) -> None:
    assert run(["pki", "issue", *words]) == 0


def tls_files(pki: Path, name: str) -> TlsFiles:
    return TlsFiles(ca=pki / "ca.crt", cert=pki / f"{name}.crt", key=pki / f"{name}.key")


def openssl(*words: object) -> subprocess.CompletedProcess[str]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl here")
    return subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, timeout=30, check=False
    )


# --------------------------------------------------------------------------- what is accepted


@pytest.mark.parametrize(
    ("words", "purposes"),
    [
        (("fra-1", *MEMBER), {"sslserver", "sslclient"}),
        (("alice", "-role", "operator"), {"sslclient"}),
        (("bob", "-role", "viewer"), {"sslclient"}),
        (("agent1", "-role", "agent"), {"sslclient"}),
    ],
)
def test_openssl_verifies_each_role_for_its_purposes(
    pki: Path, words: tuple[str, ...], purposes: set[str]
) -> None:
    issue(*words)
    for purpose in ("sslserver", "sslclient"):
        checks = ("verify", "-x509_strict", "-purpose", purpose, "-CAfile", pki / "ca.crt")
        done = openssl(*checks, pki / f"{words[0]}.crt")
        assert (done.returncode == 0) is (purpose in purposes), done.stdout + done.stderr


def test_what_stands_in_the_certificates(pki: Path) -> None:
    issue("fra-1", *MEMBER)
    shown = openssl("x509", "-in", pki / "fra-1.crt", "-noout", "-text").stdout
    for text in (
        "ASN1 OID: prime256v1",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        f"DNS:{HOST}, IP Address:2001:DB8:0:0:0:0:0:1, IP Address:192.0.2.1, URI:urn:dnslb",
        "URI:urn:dnslb:role:member, URI:urn:dnslb:instance:fra-1",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
    ):
        assert text in shown
    shown = openssl("x509", "-in", pki / "ca.crt", "-noout", "-text").stdout
    assert "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0\n" in shown
    assert "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n" in shown


async def test_members_meet(pki: Path) -> None:
    issue("fra-1", *MEMBER)
    issue("fra-2", *MEMBER)
    server, client = tls_files(pki, "fra-1"), tls_files(pki, "fra-2")
    for host in (HOST, "2001:db8::1", "192.0.2.1"):
        peer, *sentences = await meet(server_context(server), client_context(client), host)
        assert sentences == ["", ""]
    names = peer.certificate
    assert names is not None
    assert names.why_not_member("fra-2") is None
    assert names.why_not_member("fra-1") == (
        "the certificate of 'fra-2' is for 'fra-2', not for 'fra-1'"
    )


@pytest.mark.parametrize("role", ["operator", "viewer", "agent"])
async def test_roles_arrive_and_stand_in_for_no_member(pki: Path, role: str) -> None:
    issue("fra-1", *MEMBER)
    issue("fra-2", "-role", role)
    member, other = tls_files(pki, "fra-1"), tls_files(pki, "fra-2")
    peer, *sentences = await meet(server_context(member), client_context(other))
    assert sentences == ["", ""]
    names = peer.certificate
    assert names is not None
    assert names == CertificateNames("fra-2", (), (f"urn:dnslb:role:{role}",))
    assert names.why_not_member("fra-2") == (
        f"the certificate of 'fra-2' has role {role}; member was expected"
    )
    _, _, theirs = await meet(server_context(other), client_context(member))
    assert "it is not meant for this use" in theirs


# --------------------------------------------------------------------------- what is refused


def made_at(directory: Path, name: str, wall: float) -> TlsFiles:
    Authority(directory, wall).issue(Wish(name, "member", (HOST,), 1))
    return tls_files(directory, name)


async def test_a_wrong_ca_and_a_wrong_time_are_refused(tmp_path: Path) -> None:
    now = wall_s()
    ours, foreign = tmp_path / "ours", tmp_path / "foreign"
    make_authority(ours, 30, now - 9 * DAY_S)
    make_authority(foreign, 30, now)
    server = made_at(ours, "server", now)
    good = made_at(ours, "good", now)
    assert (await meet(server_context(server), client_context(good)))[1:] == ("", "")
    for client, why in (
        (replace(made_at(foreign, "a", now), ca=ours / "ca.crt"), "it comes from an unknown CA"),
        (made_at(ours, "b", now - 5 * DAY_S), "it has expired"),
        (made_at(ours, "c", now + 2 * DAY_S), "it is not valid yet (is a clock wrong?)"),
    ):
        _, told, theirs = await meet(server_context(server), client_context(client))
        assert told == f"the peer's certificate is refused: {why}"
        _, _, theirs = await meet(
            server_context(replace(client, ca=ours / "ca.crt")), client_context(good)
        )
        assert theirs == f"the peer's certificate is refused: {why}"


async def test_a_host_that_was_not_named_is_refused(pki: Path) -> None:
    issue("fra-1", *MEMBER)
    files = tls_files(pki, "fra-1")
    _, _, theirs = await meet(server_context(files), client_context(files), "localhost")
    assert theirs == "the peer's certificate is refused: it is for another host name"


# --------------------------------------------------------------------------------------- files


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "pki"
    assert run(["pki", "init", "-dir", str(directory)]) == 0
    issue("a", "-role", "agent", "-dir", str(directory))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "a.crt": 0o644, "a.key": 0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("left", ["a.crt", "a.key", "ca.crt", "ca.key"])
def test_nothing_is_overwritten(pki: Path, left: str, capsys: Captured) -> None:
    words = ["init"] if left.startswith("ca.") else ["issue", "a", "-role", "agent"]
    if words == ["init"]:
        other = "ca.key" if left == "ca.crt" else "ca.crt"
        (pki / other).unlink()
    (pki / left).write_text("precious")
    before = contents(pki)
    assert run(["pki", *words]) == 1
    assert f"pki/{left} exists and is not overwritten" in capsys.readouterr().err
    assert contents(pki) == before


def test_a_link_is_not_followed(pki: Path, capsys: Captured) -> None:
    (pki / "a.key").symlink_to(pki / "elsewhere")
    assert run(["pki", "issue", "a", "-role", "agent"]) == 1
    assert "is not overwritten" in capsys.readouterr().err
    assert not (pki / "elsewhere").exists()


def test_a_full_disk_leaves_no_half_pair(
    pki: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    before, synced, fsync = contents(pki), list[int](), os.fsync

    def run_full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", run_full)
    assert run(["pki", "issue", "a", "-role", "agent"]) == 1
    assert (
        capsys.readouterr().err == "dnslb: pki/a.crt cannot be written: No space left on device\n"
    )
    assert len(synced) == 2
    assert contents(pki) == before


# ------------------------------------------------------------------------------------ lifetimes


def days_of(files: Files, wall: float) -> float:
    return round((files.ends.timestamp() - wall) / DAY_S, 3)


def test_lifetimes(tmp_path: Path) -> None:
    now = float(int(wall_s()))
    assert days_of(make_authority(tmp_path, 1000, now), now) == 1000
    authority = Authority(tmp_path, now)
    assert days_of(authority.issue(Wish("a", "agent")), now) == 825
    assert days_of(authority.issue(Wish("b", "agent", days=7)), now) == 7
    # None outlives its CA.
    later = now + 900 * DAY_S
    assert days_of(Authority(tmp_path, later).issue(Wish("c", "agent")), later) == 100
    with pytest.raises(DnslbError, match="-days 101 is longer than the CA lasts, until 20"):
        Authority(tmp_path, later).issue(Wish("d", "agent", days=101))


# ---------------------------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "expected pki init or pki issue, found nothing"),
        ("isue", "did you mean issue?"),
        ("init there", "pki init takes no name, found 'there'"),
        ("init -role member", "pki init takes no -role"),
        ("init -days 36500", "-days: expected a whole number from 1 to 3650, found '36500'"),
        ("init -dir", "-dir needs a value"),
        ("init -dir a -dir b", "-dir is given 2 times"),
        ("issue", "pki issue expects one name, found nothing"),
        ("issue a b -role agent", "pki issue expects one name, found 'b'"),
        ("issue a", "-role is missing: expected member, operator, viewer or agent"),
        ("issue a -role admin", "expected member, operator, viewer or agent, found 'admin'"),
        ("issue a -rol agent", "pki has no flag '-rol'; did you mean -role?"),
        ("issue ../a -role agent", "the name: expected 1 to 63 letters"),
        ("issue CA -role agent", "the name 'CA' is that of the CA's own files"),
        (f"issue {'a' * 64} -role agent", "the name: expected 1 to 63 letters"),
        ("issue a -role member", "a member needs -host"),
        ("issue a -role member -host localhost:1", "-host: expected an IP address or a host"),
        ("issue a -role member -host *.example.org", "-host: expected an IP address or a host"),
        ("issue a -role member -host 10.0.0.256", "-host: expected an IP address or a host"),
        ("issue a -role member -host fe80::1%eth0", "-host: expected an IP address or a host"),
        (f"issue a -role member {'-host b ' * 65}", "65 times -host: at most 64"),
        ("issue a -role viewer -host b", "-host is for members"),
        ("issue a -role agent -days 0", "-days: expected a whole number from 1 to 3650"),
        ("issue a -role agent -dir none", "there is no CA in none: make one with dnslb pki init"),
    ],
)
def test_wrong_input_is_one_sentence(pki: Path, words: str, told: str, capsys: Captured) -> None:
    before = contents(pki)
    assert run(["pki", *words.split()]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert captured.err.startswith("dnslb: ")
    assert captured.err.count("\n") == 1
    assert contents(pki) == before


def damage(pki: Path, how: str) -> None:
    match how:
        case "no key":
            (pki / "ca.key").unlink()
        case "a key of another CA":
            make_authority(pki / "other", 1, wall_s())
            shutil.copy(pki / "other" / "ca.key", pki / "ca.key")
        case "a key with a passphrase":
            encrypt_key(pki / "ca.key")
        case "junk for a key":
            (pki / "ca.key").write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n")
        case "junk for a certificate":
            (pki / "ca.crt").write_text("junk")
        case "a huge file":
            (pki / "ca.crt").write_bytes(b" " * 100_000)
        case "a directory":
            (pki / "ca.crt").unlink()
            (pki / "ca.crt").mkdir()
        case "no CA":
            issue("leaf", "-role", "agent")
            for kind in ("crt", "key"):
                shutil.copy(pki / f"leaf.{kind}", pki / f"ca.{kind}")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("no key", "pki/ca.key cannot be read: No such file or directory"),
        ("a key of another CA", "pki/ca.key does not belong to pki/ca.crt"),
        ("a key with a passphrase", "pki/ca.key is encrypted; store it without a passphrase"),
        ("junk for a key", "pki/ca.key holds no PEM private key that can be read"),
        ("junk for a certificate", "pki/ca.crt holds no PEM certificate that can be read"),
        ("a huge file", "pki/ca.crt is larger than 65536 bytes: a PEM file was expected"),
        ("a directory", "pki/ca.crt cannot be read: Is a directory"),
        ("no CA", "pki/ca.crt is no certificate of a CA"),
    ],
)
def test_a_ca_that_is_none(pki: Path, how: str, told: str, capsys: Captured) -> None:
    damage(pki, how)
    capsys.readouterr()
    assert run(["pki", "issue", "a", "-role", "agent"]) == 1
    assert capsys.readouterr().err == f"dnslb: {told}\n"
    assert not (pki / "a.key").exists()


def test_a_ca_that_has_expired(tmp_path: Path, capsys: Captured) -> None:
    make_authority(tmp_path, 1, wall_s() - 2 * DAY_S)
    assert run(["pki", "issue", "a", "-role", "agent", "-dir", str(tmp_path)]) == 1
    assert "ca.crt has expired, on 20" in capsys.readouterr().err


def test_a_directory_that_cannot_be_made(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").touch()
    assert run(["pki", "init", "-dir", str(tmp_path / "file" / "pki")]) == 1
    assert "cannot be made: Not a directory" in capsys.readouterr().err


def test_a_key_that_everybody_can_read_is_warned_of(pki: Path, capsys: Captured) -> None:
    (pki / "ca.key").chmod(0o644)
    issue("a", "-role", "agent")
    assert "warning: every user of this machine can read 'pki/ca.key'" in capsys.readouterr().err


# ------------------------------------------------------------------------------- what is said


def test_it_says_which_flags_use_the_files(pki: Path, capsys: Captured) -> None:
    for words, said in (
        (("fra-1", *MEMBER), "-raft-ca pki/ca.crt -raft-crt pki/fra-1.crt -raft-key pki/fra-1.key"),
        (("fra-2", *MEMBER), "-healthd-key pki/fra-2.key"),
        (("alice", "-role", "operator"), "--ca pki/ca.crt --crt pki/alice.crt --key pki/alice.key"),
        (("agent1", "-role", "agent"), "dnslb agent -name agent1 -upstream"),
    ):
        issue(*words)
        captured = capsys.readouterr()
        assert said in captured.out
        assert captured.err == ""
        assert "PRIVATE" not in captured.out


def test_help(capsys: Captured) -> None:
    for words in (["-h"], ["help"], ["issue", "--help"]):
        assert run(["pki", *words]) == 0
        assert capsys.readouterr().out.startswith("usage: dnslb pki init [-dir DIR]")
    assert max(map(len, HELP.splitlines())) <= 100
