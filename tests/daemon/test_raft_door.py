"""The raft address as a daemon opens it: members by their certificates, people by their roles."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.control.handlers import Handlers
from dnslb.daemon.config import RaftConfig, TlsPaths
from dnslb.daemon.kinds import Address
from dnslb.daemon.notices import Notices
from dnslb.daemon.raft_door import RaftDoor
from dnslb.daemon.verbs.authority import Authority, Role, Wish, make_authority
from dnslb.metrics.counters import Counters
from dnslb.net.clock import FakeClock, wall_s
from dnslb.net.http_message import Request
from dnslb.net.listen import ListenError, open_tcp
from dnslb.net.peer import Peer
from dnslb.net.tls import TlsError, TlsFiles, client_context, handshake_sentence
from tests.doubles.operations import INFO, Shown, picture

MAGIC = b"\x00dnslb\x00\x01"
GET = b"GET /v1/status HTTP/1.0\r\nHost: x\r\n\r\n"
SYNC = b'POST /v1/commands HTTP/1.0\r\nHost: x\r\nContent-Length: 15\r\n\r\n{"kind":"sync"}'


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    make_authority(directory, 30, wall_s())
    return directory


def paths(pki: Path, name: str, role: Role = "member", **given: object) -> TlsPaths:
    found = TlsPaths(pki / "ca.crt", pki / f"{name}.crt", pki / f"{name}.key")
    if found.crt is not None and not found.crt.exists():
        hosts = ("127.0.0.1",) if role == "member" else ()
        Authority(pki, wall_s()).issue(Wish(name, role, hosts))
    return replace(found, **given)  # type: ignore[arg-type]


def config(tls: TlsPaths | None = None, port: int = 0, *, insecure: bool = False) -> RaftConfig:
    where = Address("127.0.0.1", port)
    return RaftConfig(
        address=where,
        bind=where,
        directory=Path("unused"),
        bootstrap=False,
        new_epoch=False,
        profile="lan",
        tls=tls,
        insecure=insecure,
    )


class House:
    """One member's door, with an echo for what members say."""

    def __init__(self, raft: RaftConfig) -> None:
        self.shown = Shown(picture())
        self.counters = Counters()
        self.door = RaftDoor(raft, "fra-1", Path("/run/dnslb/here.sock"), self.counters)
        self.proofs: list[tuple[str | None, ...]] = []
        self.handlers = Handlers(self.shown, self.shown, INFO, FakeClock())

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.door.port}"

    async def accept(self, stream: trio.abc.Stream, begun: bytes) -> None:
        self.proofs.append(tuple(self.door.prove(stream, name) for name in ("fra-1", "fra-2")))
        await stream.send_all(begun + bytes(await stream.receive_some()))


@asynccontextmanager
async def serving(raft: RaftConfig) -> AsyncIterator[House]:
    house = House(raft)
    await house.door.open()
    async with trio.open_nursery() as nursery:
        await nursery.start(house.door.serve, house.handlers, house.accept)
        yield house
        house.door.shut()
    await house.door.aclose()
    assert house.counters.faults == 0


async def tcp(address: str) -> trio.abc.Stream:
    host, _, port = address.rpartition(":")
    return await trio.open_tcp_stream(host, int(port))


def door_of(raft: RaftConfig, name: str = "fra-1") -> RaftDoor:
    return RaftDoor(raft, name, Path("unused"), Counters())


async def dial(address: str, tls: TlsPaths) -> trio.abc.Stream:
    """As whoever has this certificate, a member or not."""
    context = client_context(TlsFiles(tls.ca, tls.crt, tls.key))
    stream = trio.SSLStream(await tcp(address), context, server_hostname="127.0.0.1")
    await stream.do_handshake()
    return stream


async def ask(stream: trio.abc.Stream, data: bytes) -> bytes:
    async with stream:
        await stream.send_all(data)
        return b"".join([bytes(part) async for part in stream])


async def test_members_prove_who_they_are_to_each_other(pki: Path) -> None:
    async with serving(config(paths(pki, "fra-1"))) as house:
        other = door_of(config(paths(pki, "fra-2")), "fra-2")
        await other.open()
        stream = await other.secured(tcp)(house.address)
        await stream.send_all(MAGIC)
        assert await stream.receive_some() == MAGIC
        assert other.prove(stream, "fra-1") is None
        assert other.prove(stream, "fra-2") == (
            "the certificate of 'fra-1' is for 'fra-1', not for 'fra-2'"
        )
        await trio.aclose_forcefully(stream)
        await other.aclose()
    assert house.proofs == [("the certificate of 'fra-2' is for 'fra-2', not for 'fra-1'", None)]


async def test_nobody_else_is_a_member(pki: Path) -> None:
    async with serving(config(paths(pki, "fra-1"))) as house:
        others: tuple[Role, ...] = ("operator", "viewer", "agent")
        for role in others:
            stream = await dial(house.address, paths(pki, role, role))
            await stream.send_all(MAGIC)
            assert await stream.receive_some() == MAGIC
            await trio.aclose_forcefully(stream)
            assert all(why and f"has role {role}; member was" in why for why in house.proofs[-1])
    plain, _ = trio.testing.memory_stream_pair()
    assert house.door.prove(plain, "fra-1") == "the stream is not encrypted"


async def test_people_by_their_roles(pki: Path) -> None:
    async with serving(config(paths(pki, "fra-1"))) as house:
        people: list[tuple[Role, bytes, bytes]] = [
            ("operator", b" 200 ", b" 200 "),
            ("viewer", b" 200 ", b" 403 "),
            ("member", b" 200 ", b" 403 "),
            ("agent", b" 403 ", b" 403 "),
        ]
        for role, looks, steers in people:
            person = paths(pki, role, role)
            for data, wanted in ((GET, looks), (SYNC, steers)):
                answer = await ask(await dial(house.address, person), data)
                assert wanted in answer.partition(b"\r\n")[0]
    assert [command.by for command, _ in house.shown.commands] == ["operator"]


async def test_a_foreign_certificate_is_refused_and_named_once(
    pki: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_authority(tmp_path, 30, wall_s())
    foreign = paths(tmp_path, "fra-2", ca=pki / "ca.crt")
    async with serving(config(paths(pki, "fra-1"))) as house:
        for _ in range(3):
            stream = await dial(house.address, foreign)
            with pytest.raises(trio.BrokenResourceError) as broken:
                await stream.receive_some()
            assert handshake_sentence(broken.value) == (
                "our certificate was refused by the peer: it does not know our CA"
            )
            await trio.aclose_forcefully(stream)
    assert house.counters.refused[("raft", "handshake_failed")] == 3
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert "the peer's certificate is refused: it comes from an unknown CA" in told[0]


async def test_renewed_certificates_are_shown_from_then_on(
    pki: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_authority(tmp_path, 30, wall_s())
    tls = paths(tmp_path, "fra-1")
    assert tls.crt is not None
    async with serving(config(tls)) as house:
        tls.crt.write_text("half a f")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(knock, house)
        assert "not a PEM file; the certificate in force stays" in caplog.text
        assert house.door.tls_problem is not None
        tls.crt.unlink()
        os.unlink(str(tls.key))
        paths(tmp_path, "fra-1")
        await knock(house)
        assert house.door.tls_problem is None


async def knock(house: House) -> None:
    stream = await house.door.secured(tcp)(house.address)
    assert b" 200 " in await ask(stream, GET)


async def test_without_certificates(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(config()) as house:
        stream = await house.door.secured(tcp)(house.address)
        await stream.send_all(MAGIC)
        assert await stream.receive_some() == MAGIC
        await stream.aclose()
        assert b" 200 " in await ask(await tcp(house.address), GET)
        answer = await ask(await tcp(house.address), SYNC)
        assert b'"kind":"control-socket","socket":"/run/dnslb/here.sock"' in answer
        away = Request("GET", "/v1/status", peer=Peer(("192.0.2.1", 1)))
        assert (await house.handlers(away, permission=house.door.permission)).status == 403
    assert house.proofs == [(None, None)]
    assert house.shown.commands == []
    assert caplog.records == []


async def test_insecure_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(config(insecure=True)):
        pass
    assert "-raft-insecure: whoever reaches 127.0.0.1:0 can speak as a member" in caplog.text


async def test_what_cannot_be_opened_is_an_error(pki: Path, tmp_path: Path) -> None:
    with pytest.raises(TlsError, match="none cannot be read"):
        await door_of(config(paths(pki, "fra-1", crt=tmp_path / "none"))).open()
    (taken,) = await open_tcp(0)
    port = taken.socket.getsockname()[1]
    with pytest.raises(ListenError, match="already in use"):
        await door_of(config(port=port)).open()
    await taken.aclose()


# --------------------------------------------------------------------------- our own certificate


@pytest.mark.parametrize(
    ("name", "role", "hosts", "instance_id", "told"),
    [
        ("a", "member", ("127.0.0.1",), "b", "is for 'a', not for 'b' (dnslb pki issue b -role"),
        ("c", "viewer", (), "c", "it is not meant for this use"),
        ("d", "member", ("192.0.2.1",), "d", "is of no use at 127.0.0.1: the peer's certificate"),
    ],
)
async def test_a_certificate_that_others_would_refuse_is_found_at_the_start(
    pki: Path, name: str, role: Role, hosts: tuple[str, ...], instance_id: str, told: str
) -> None:
    if not (pki / f"{name}.crt").exists():
        Authority(pki, wall_s()).issue(Wish(name, role, hosts))
    with pytest.raises(TlsError) as refused:
        await door_of(config(paths(pki, name)), instance_id).open()
    assert str(refused.value).startswith(str(pki / f"{name}.crt"))
    assert told in str(refused.value)


async def test_a_certificate_of_another_ca_is_found_at_the_start(pki: Path, tmp_path: Path) -> None:
    make_authority(tmp_path, 30, wall_s())
    with pytest.raises(TlsError, match="it comes from an unknown CA"):
        await door_of(config(paths(tmp_path, "fra-1", ca=pki / "ca.crt"))).open()


async def test_a_new_certificate_of_somebody_else_is_not_put_in_force(
    pki: Path, tmp_path: Path
) -> None:
    make_authority(tmp_path, 30, wall_s())
    tls = paths(tmp_path, "fra-1")
    wrong = paths(tmp_path, "fra-2")
    notices = Notices(wall_s, lambda: None)
    async with serving(config(tls)) as house:
        for ours, theirs in ((tls.crt, wrong.crt), (tls.key, wrong.key)):
            assert ours is not None
            assert theirs is not None
            theirs.replace(ours)
        house.door.look(notices, wall_s())
        (row,) = notices.added_to(picture()).attention
        assert (row.severity, row.kind) == ("warning", "certificate-not-in-force")
        assert "the certificate of 'fra-2' is for 'fra-2', not for 'fra-1'" in row.sentence
        # As a client, too, it goes on with the old one.
        stream = await house.door.secured(tcp)(house.address)
        await stream.send_all(MAGIC)
        assert await stream.receive_some() == MAGIC
        await trio.aclose_forcefully(stream)
        assert house.proofs[-1][0] is None


DAY_S = 86_400.0


async def test_a_certificate_that_ends_is_told_in_time(pki: Path, tmp_path: Path) -> None:
    now = wall_s()
    make_authority(tmp_path, 400, now)
    notices = Notices(wall_s, lambda: None)
    Authority(tmp_path, now).issue(Wish("fra-1", "member", ("127.0.0.1",), 200))
    async with serving(config(paths(tmp_path, "fra-1"))) as house:
        for days, severity, told in (
            (0, "", ""),
            (169, "", ""),
            (171, "warning", "is valid until 20"),
            (199.9, "warning", "is valid until 20"),
            (200.1, "critical", "expired at 20"),
            (-1, "critical", "is not valid before 20"),
            (10, "", ""),
        ):
            house.door.look(notices, now + days * DAY_S)
            rows = notices.added_to(picture()).attention
            assert [row.severity for row in rows] == ([severity] if severity else [])
            assert all(told in row.sentence and row.subject == "fra-1" for row in rows)


@pytest.mark.parametrize(("days", "told"), [(7, False), (9, True)])
async def test_one_that_is_renewed_often_is_not_told_of_each_time(
    tmp_path: Path, days: int, told: bool
) -> None:
    now = wall_s()
    make_authority(tmp_path, 400, now)
    Authority(tmp_path, now).issue(Wish("fra-1", "member", ("127.0.0.1",), 10))
    notices = Notices(wall_s, lambda: None)
    async with serving(config(paths(tmp_path, "fra-1"))) as house:
        house.door.look(notices, now + days * DAY_S)
        assert bool(notices.added_to(picture()).attention) is told


async def test_one_that_has_expired_is_no_reason_not_to_start(tmp_path: Path) -> None:
    began = wall_s() - 20 * DAY_S
    make_authority(tmp_path, 400, began)
    Authority(tmp_path, began).issue(Wish("fra-1", "member", ("127.0.0.1",), 10))
    async with serving(config(paths(tmp_path, "fra-1"))) as house:
        notices = Notices(wall_s, lambda: None)
        house.door.look(notices, wall_s())
        assert [row.severity for row in notices.added_to(picture()).attention] == ["critical"]


async def test_without_certificates_there_is_nothing_to_tell() -> None:
    async with serving(config()) as house:
        house.door.look(Notices(wall_s, lambda: pytest.fail("a row")), wall_s())
