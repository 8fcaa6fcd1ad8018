"""Contexts out of files, names out of certificates, and what is said when either fails."""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.net.peer import Peer
from dnslb.net.tls import (
    CertificateNames,
    ReloadingContext,
    TlsError,
    TlsFiles,
    client_context,
    handshake_sentence,
    server_context,
)
from tests.net.certificates import Authority, encrypt_key
from tests.net.handshake import HOST, meet

PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "ours")


@pytest.fixture
def server_files(authority: Authority) -> TlsFiles:
    return authority.issue("server", HOST)


async def test_both_sides_prove_who_they_are(authority: Authority, server_files: TlsFiles) -> None:
    client = authority.issue_with_uris("agent1", "agent1.example.org", "urn:dnslb:role:agent")
    peer, *sentences = await meet(server_context(server_files), client_context(client))
    assert sentences == ["", ""]
    names = peer.certificate
    assert names is not None
    assert names.names == {"agent1", "agent1.example.org"}
    assert names.roles == {"agent"}
    assert str(peer) == "'agent1' at an unnamed peer"


async def test_refused_clients(
    authority: Authority, server_files: TlsFiles, tmp_path: Path
) -> None:
    server = server_context(server_files)
    foreign = replace(
        Authority.make(tmp_path / "foreign").issue("agent1", "agent1.example.org"),
        ca=server_files.ca,
    )
    expired = authority.issue("old", "old.example.org", not_after=PAST)
    for client, sentence in (
        (TlsFiles(ca=server_files.ca), "the peer showed no certificate"),
        (foreign, "the peer's certificate is refused: it comes from an unknown CA"),
        (expired, "the peer's certificate is refused: it has expired"),
    ):
        peer, ours, theirs = await meet(server, client_context(client))
        assert peer == Peer()
        assert ours == sentence
        # TLS 1.3: the client learns of it only after its own handshake has succeeded.
        assert theirs
        assert "handshake" in theirs or "refused" in theirs


async def test_refused_servers(authority: Authority, tmp_path: Path) -> None:
    client = client_context(authority.issue("agent1", "agent1.example.org"))
    foreign = Authority.make(tmp_path / "foreign").issue("server", HOST)
    for files, sentence in (
        (authority.issue("other", "other.example.org"), "it is for another host name"),
        (authority.issue("old", HOST, not_after=PAST), "it has expired"),
        (foreign, "it comes from an unknown CA"),
    ):
        _peer, _ours, theirs = await meet(server_context(files), client)
        assert theirs == f"the peer's certificate is refused: {sentence}"


async def test_an_address_that_does_not_match(authority: Authority) -> None:
    client = client_context(authority.issue("agent1", "agent1.example.org"))
    server = server_context(authority.issue("server", HOST))
    _peer, _ours, theirs = await meet(server, client, "192.0.2.1")
    assert theirs == "the peer's certificate is refused: it is for another address"


async def test_a_revoked_client(authority: Authority, server_files: TlsFiles) -> None:
    good = authority.issue("good", "good.example.org")
    bad = authority.issue("bad", "bad.example.org")
    server = server_context(replace(server_files, crl=authority.revoke(bad)))
    assert (await meet(server, client_context(good)))[1] == ""
    assert (await meet(server, client_context(bad)))[1] == (
        "the peer's certificate is refused: it has been revoked"
    )


async def test_no_session_is_resumed(authority: Authority, server_files: TlsFiles) -> None:
    assert server_context(server_files).num_tickets == 0
    assert server_context(server_files).minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "the peer speaks plain HTTP to a TLS port"),
        (b"junkjunkjunkjunk", "the peer does not speak TLS"),
        (b"", "the peer hung up during the handshake"),
    ],
)
async def test_clients_without_tls(server_files: TlsFiles, sent: bytes, sentence: str) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(sent)
    await ours.aclose()
    stream = trio.SSLStream(theirs, server_context(server_files), server_side=True)
    with pytest.raises(trio.BrokenResourceError) as caught:
        await stream.do_handshake()
    assert handshake_sentence(caught.value) == sentence


def test_a_client_may_go_without_files() -> None:
    context = client_context(TlsFiles())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


# ------------------------------------------------------------------------------ files at fault


def test_files_that_are_missing_are_named(server_files: TlsFiles, tmp_path: Path) -> None:
    for field in ("ca", "cert", "key", "crl"):
        files = replace(server_files, **{field: tmp_path / "none"})
        with pytest.raises(TlsError, match=r"none cannot be read: No such file"):
            server_context(files)


@pytest.mark.parametrize("field", ["ca", "cert", "key", "crl"])
def test_files_that_are_no_pem_are_named(
    server_files: TlsFiles, tmp_path: Path, field: str
) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"\x00junk")
    with pytest.raises(TlsError, match=r"bad: not a PEM file"):
        server_context(replace(server_files, **{field: bad}))


@pytest.mark.parametrize("field", ["ca", "cert", "key", "crl"])
def test_pem_of_another_kind_is_named(server_files: TlsFiles, tmp_path: Path, field: str) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n")
    with pytest.raises(TlsError, match=r"bad: contains no (certificate|private key|x509 crl)"):
        server_context(replace(server_files, **{field: bad}))


@pytest.mark.parametrize("field", ["ca", "cert", "key"])
def test_damaged_files_are_named(server_files: TlsFiles, field: str) -> None:
    path = getattr(server_files, field)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(TlsError, match=f"{path}.*(damaged|not a usable PEM)"):
        server_context(server_files)


def test_a_key_of_another_certificate(authority: Authority, server_files: TlsFiles) -> None:
    other = authority.issue("other", "other.example.org")
    with pytest.raises(TlsError, match=r"other\.key: the key does not belong to .*server\.pem"):
        server_context(replace(server_files, key=other.key))


def test_an_encrypted_key_is_not_asked_for(server_files: TlsFiles) -> None:
    assert server_files.key is not None
    encrypt_key(server_files.key)
    with pytest.raises(TlsError, match=r"server\.key: the key is encrypted"):
        server_context(server_files)


def test_certificate_and_key_in_one_file(server_files: TlsFiles) -> None:
    assert server_files.cert is not None
    assert server_files.key is not None
    server_files.cert.write_bytes(server_files.key.read_bytes() + server_files.cert.read_bytes())
    server_context(replace(server_files, key=None))


def test_what_a_server_needs(server_files: TlsFiles) -> None:
    with pytest.raises(TlsError, match="CA file is needed"):
        server_context(replace(server_files, ca=None))
    with pytest.raises(TlsError, match="needs a certificate"):
        server_context(replace(server_files, cert=None))
    with pytest.raises(TlsError, match="key without a certificate"):
        client_context(replace(server_files, cert=None))


# ------------------------------------------------------------------------------------ reloading


def touch(path: Path | None, instant: int) -> None:
    assert path is not None
    os.utime(path, (instant, instant))


async def test_renewed_files_are_picked_up(authority: Authority, server_files: TlsFiles) -> None:
    problems: list[TlsError] = []
    reloading = ReloadingContext(server_files, server_context, on_problem=problems.append)
    first = reloading.context()
    assert reloading.context() is first

    authority.issue("server", HOST)
    touch(server_files.cert, 1)
    second = reloading.context()
    assert second is not first
    client = client_context(authority.issue("agent1", "agent1.example.org"))
    assert (await meet(second, client))[1:] == ("", "")
    assert problems == []


def test_bad_new_files_leave_the_old_in_force(authority: Authority, server_files: TlsFiles) -> None:
    problems: list[TlsError] = []
    assert server_files.cert is not None
    reloading = ReloadingContext(server_files, server_context, on_problem=problems.append)
    first = reloading.context()
    good = server_files.cert.read_bytes()

    server_files.cert.write_bytes(b"half a f")
    assert reloading.context() is first
    assert reloading.context() is first
    assert [str(problem) for problem in problems] == [f"{server_files.cert}: not a PEM file"]
    assert str(reloading.problem) == str(problems[0])

    server_files.cert.unlink()
    assert reloading.context() is first
    assert "cannot be read" in str(reloading.problem)

    server_files.cert.write_bytes(good)
    assert reloading.context() is not first
    assert reloading.problem is None
    assert len(problems) == 2


def test_the_first_files_have_to_be_good(server_files: TlsFiles) -> None:
    with pytest.raises(TlsError):
        ReloadingContext(replace(server_files, ca=None), server_context, on_problem=print)


# ------------------------------------------------------------------------------ names and roles


def test_names_in_a_certificate() -> None:
    names = CertificateNames.from_peercert(
        {
            "subject": ((("organizationName", "x"),), (("commonName", "a"),)),
            "subjectAltName": (
                ("DNS", "a.example"),
                ("IP Address", "192.0.2.1"),
                ("URI", "URN:dnslb:role:operator"),
                ("URI", "urn:dnslb:role:viewer"),
                ("URI", "urn:other:role:member"),
                ("URI", "https://example.org/urn:dnslb:role:member"),
            ),
        }
    )
    assert names.common_name == "a"
    assert names.names == {"a", "a.example"}
    assert names.roles == {"operator", "viewer"}


@pytest.mark.parametrize("certificate", [None, {}, {"subject": ()}])
def test_no_names(certificate: dict[str, object] | None) -> None:
    names = CertificateNames.from_peercert(certificate)
    assert (names.names, names.roles, names.common_name) == (frozenset(), frozenset(), None)


def test_unknown_failures_are_told_in_openssls_words() -> None:
    error = ssl.SSLError(1, "[SSL] something odd")
    assert handshake_sentence(error).startswith("TLS failed: ")
    assert handshake_sentence(ConnectionResetError()) == "the peer hung up during the handshake"


MEMBER = CertificateNames(
    "fra-1", ("fra-2",), ("urn:dnslb:role:member", "urn:dnslb:instance:fra-1")
)


def test_a_member_is_who_its_certificate_says() -> None:
    assert MEMBER.instances == {"fra-1"}
    assert MEMBER.why_not_member("fra-1") is None


@pytest.mark.parametrize(
    ("names", "instance_id", "why"),
    [
        # A host of fra-1 is called like another instance: that makes it nobody else.
        (MEMBER, "fra-2", "the certificate of 'fra-1' is for 'fra-1', not for 'fra-2'"),
        (MEMBER, "FRA-1", "the certificate of 'fra-1' is for 'fra-1', not for 'FRA-1'"),
        (
            replace(MEMBER, uris=("urn:dnslb:role:member",)),
            "fra-1",
            "the certificate of 'fra-1' is for no instance, not for 'fra-1'",
        ),
        (
            replace(MEMBER, uris=("urn:dnslb:role:agent", "urn:dnslb:instance:fra-1")),
            "fra-1",
            "the certificate of 'fra-1' has role agent; member was expected",
        ),
        (
            CertificateNames(),
            "fra-1",
            "the certificate of a nameless owner has no role; member was expected",
        ),
    ],
)
def test_everybody_else_is_not(names: CertificateNames, instance_id: str, why: str) -> None:
    assert names.why_not_member(instance_id) == why
