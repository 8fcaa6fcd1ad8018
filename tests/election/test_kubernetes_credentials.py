"""A kubeconfig that gives no credentials: said at once, by its plug-in's name, and by no secret."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dnslb.election.kubernetes_client import KubernetesClient, connector
from dnslb.election.kubernetes_credentials import overheard
from dnslb.election.kubernetes_objects import Kind
from dnslb.errors import ConfigError, KubernetesRefusal
from tests.doubles.kubernetes_api.place import NAME, NAMESPACE
from tests.doubles.kubernetes_api.serving import World, serving
from tests.doubles.kubernetes_api.terms import least_rules

SECRET = "c2VjcmV0-very-secret"
API = "client.authentication.k8s.io/v1"
BY_HAND = "Run it by hand"


def plug_in(command: str, *args: str) -> dict[str, object]:
    env = [{"name": "KEY", "value": SECRET}]
    return {"exec": {"apiVersion": API, "command": command, "args": [*args], "env": env}}


def gcp(**config: str) -> dict[str, object]:
    return {"auth-provider": {"name": "gcp", "config": config}}


def credential(path: Path, **status: str) -> None:
    whole = {"apiVersion": API, "kind": "ExecCredential", "status": status}
    path.write_text(json.dumps(whole))


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (plug_in("/nope/aws", SECRET), "Its plug-in /nope/aws gave none: it could not be started"),
        (plug_in(f"/nope/aws --key {SECRET}"), "Its plug-in /nope/aws gave none"),
        (
            plug_in("/bin/sh", "-c", f"echo {SECRET} >&2; exit 7"),
            "Its plug-in /bin/sh gave none: it ended with 7.",
        ),
        (plug_in("/bin/echo", SECRET), "Its plug-in /bin/echo gave none: it answered nothing"),
        (plug_in("/bin/cat", "{empty}"), "Its plug-in /bin/cat gave none. Run"),
        (plug_in("/bin/cat", "{half}"), "Its plug-in /bin/cat gave none: it answered nothing"),
        (
            gcp(**{"cmd-path": "/bin/sh", "cmd-args": f"/nope/{SECRET}"}),
            "Its plug-in /bin/sh gave none: it ended with ",
        ),
        ({"auth-provider": {"name": "azure", "config": {"x": SECRET}}}, "Its auth-provider azure"),
        ({}, "needs a token"),
        ({"token": ""}, "needs a token"),
        ({"username": SECRET}, "needs a token"),
    ],
)
async def test_no_credentials_are_an_error_at_the_start_and_nothing_is_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, user: dict[str, object], said: str
) -> None:
    credential(tmp_path / "empty.json", token="")
    credential(tmp_path / "half.json", clientCertificateData=SECRET)
    for name in ("empty", "half"):
        user = json.loads(json.dumps(user).replace(f"{{{name}}}", str(tmp_path / f"{name}.json")))
    async with serving(tmp_path) as world:
        path = world.place.kubeconfig("bad", user)
        client = KubernetesClient(NAMESPACE, connector(path))
        with pytest.raises(ConfigError) as caught:
            await client.load()
        sentence = str(caught.value)
        assert sentence.startswith(f"The kubeconfig {path} gave no credentials. ")
        assert said in sentence
        assert (BY_HAND in sentence) == ("plug-in /" in sentence)
        with pytest.raises(KubernetesRefusal, match="Nothing was sent for the get") as refused:
            await client.read(Kind.LEASE, NAME)
        assert refused.value.status is None
        assert SECRET not in f"{sentence} {refused.value}"
        assert world.api.seen == []
        assert caplog.records == []


@pytest.mark.parametrize("user", [{"username": "u", "password": "p"}, {"token": "t"}])
async def test_what_gives_credentials_is_loaded(tmp_path: Path, user: dict[str, object]) -> None:
    async with serving(tmp_path) as world:
        client = world.client(world.place.kubeconfig("good", user))
        assert await client.load() == world.place.url


async def test_by_plain_http_a_proxy_brings_the_credentials(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        server = "http://127.0.0.1:8001"
        client = world.client(world.place.kubeconfig("proxy", {}, server=server))
        assert await client.load() == server


async def test_a_token_beside_a_failing_plug_in_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as world:
        files = world.place.authority.issue("dns", common_name="robot")
        world.api.rules["robot"] = least_rules(NAME)
        by_path = {"client-certificate": str(files.cert), "client-key": str(files.key)}
        client = world.client(world.place.kubeconfig("both", plug_in("/nope/aws") | by_path))
        assert await client.read(Kind.LEASE, NAME) is None
        (record,) = caplog.records
        assert record.name == "dnslb.election.kubernetes"
        assert "Its plug-in /nope/aws gave none" in record.getMessage()


async def expiring(world: World, directory: Path) -> tuple[KubernetesClient, Path]:
    """Its token has expired already, so the plug-in is asked for each request."""
    world.api.allow("first", "robot", *least_rules(NAME))
    answer = directory / "credential.json"
    expired = datetime.now(UTC) - timedelta(days=1)
    credential(answer, token="first", expirationTimestamp=expired.strftime("%Y-%m-%dT%H:%M:%SZ"))
    script = f"cat {answer} || {{ echo {SECRET} >&2; exit 3; }}"
    user = plug_in("/bin/sh", "-c", script)
    client = world.client(world.place.kubeconfig("expiring", user))
    assert await client.read(Kind.LEASE, NAME) is None
    return client, answer


async def test_a_plug_in_that_fails_later_is_an_error_in_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as world:
        client, answer = await expiring(world, tmp_path)
        kept = answer.read_text()
        answer.unlink()
        # The server decides whether the old token is still good; one warning is enough.
        for _ in range(2):
            assert await client.read(Kind.LEASE, NAME) is None
        (record,) = caplog.records
        assert "gave no new credentials; those that it has are tried" in record.getMessage()
        world.api.tokens.clear()
        for _ in range(2):
            with pytest.raises(KubernetesRefusal) as caught:
                await client.read(Kind.LEASE, NAME)
            assert "Its plug-in /bin/sh gave none: it ended with 3." in str(caught.value)
            assert caught.value.status is None
        assert SECRET not in caplog.text + str(caught.value)
        # Put right, it goes on by itself.
        world.api.allow("first", "robot", *least_rules(NAME))
        answer.write_text(kept)
        assert await client.read(Kind.LEASE, NAME) is None


async def test_a_renewal_that_raises_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    """The way of `auth-provider`: what goes wrong there is raised, not logged."""
    async with serving(tmp_path) as world:
        world.api.allow("first", "robot", *least_rules(NAME))
        answer = tmp_path / "token.json"
        held = {"access_token": "first", "token_expiry": "2001-01-01T00:00:00Z"}
        answer.write_text(json.dumps({"credential": held}))
        user = gcp(**{"cmd-path": "/bin/cat", "cmd-args": str(answer)})
        client = world.client(world.place.kubeconfig("gcp", user))
        assert await client.read(Kind.LEASE, NAME) is None
        answer.unlink()
        with pytest.raises(KubernetesRefusal, match="Nothing was sent for the get") as caught:
            await client.read(Kind.LEASE, NAME)
        assert "Its plug-in /bin/cat gave none: it ended with 1." in str(caught.value)
        assert caught.value.status is None


def test_only_what_is_said_meanwhile_to_the_root_is_kept_from_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    root, other = logging.getLogger(), logging.getLogger("dnslb.other")
    root.error("before")
    with overheard() as words:
        root.error("meanwhile")
        other.error("another's")
    root.error("after")
    assert words == ["meanwhile"]
    assert caplog.messages == ["before", "another's", "after"]
