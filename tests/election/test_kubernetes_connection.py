"""How the API server is reached: configurations, credentials that change, and deadlines."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path

import pytest
import trio

from dnslb.election.kubernetes import Connection
from dnslb.election.kubernetes_client import CALLS_MAX, KubernetesClient, connector
from dnslb.election.kubernetes_errand import Errand
from dnslb.election.kubernetes_objects import Kind
from dnslb.errors import ConfigError, KubernetesRefusal, KubernetesTemporary, KubernetesUnknown
from dnslb.net.clock import boot_s
from tests.doubles.kubernetes_api.place import NAME, NAMESPACE, USER
from tests.doubles.kubernetes_api.serving import World, serving
from tests.doubles.kubernetes_api.terms import Fault, Rule, least_rules

SECRET = "c2VjcmV0-very-secret"


def in_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[KubernetesClient, Path]:
    directory = world.place.service_account()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(world.place.port))
    client = KubernetesClient(NAMESPACE, partial(Connection, None, directory))
    world.clients.append(client)
    return client, directory


# ----------------------------------------------------------------------------- configurations


async def test_in_a_pod_its_service_account_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as world:
        client, _ = in_cluster(world, monkeypatch)
        assert await client.load() == world.place.url
        assert await client.read(Kind.LEASE, NAME) is None
        assert world.api.seen[0].user == USER


async def test_a_token_that_was_replaced_is_read_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package alone would go on with the old one for a minute: longer than a lease."""
    async with serving(tmp_path) as world:
        client, directory = in_cluster(world, monkeypatch)
        made = await client.create(Kind.LEASE, NAME, {})
        world.api.tokens = {"another": USER}
        (directory / "token").write_text("another")
        assert await client.replace(made, {"leaseTransitions": 1}) is not None
        assert [seen.status for seen in world.api.seen] == [201, 401, 200]


async def test_a_token_file_that_a_kubeconfig_names_is_read_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        client = world.client()
        await client.read(Kind.LEASE, NAME)
        world.place.rotate("a", "another")
        assert await client.read(Kind.LEASE, NAME) is None
        assert [seen.status for seen in world.api.seen] == [404, 401, 404]


async def test_a_token_that_stays_bad_is_refused_after_one_more_look(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        client = world.client()
        await client.load()
        world.api.tokens.clear()
        for _ in range(2):
            with pytest.raises(KubernetesRefusal, match="does not accept our token") as caught:
                await client.read(Kind.LEASE, NAME)
            assert "token-of" not in str(caught.value)
        assert [seen.status for seen in world.api.seen] == [401] * 4


async def test_a_client_certificate(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        files = world.place.authority.issue("dns", common_name="robot")
        assert files.cert is not None
        assert files.key is not None
        world.api.rules["robot"] = least_rules(NAME)
        inline = {
            "client-certificate-data": base64.b64encode(files.cert.read_bytes()).decode(),
            "client-key-data": base64.b64encode(files.key.read_bytes()).decode(),
        }
        by_path = {"client-certificate": str(files.cert), "client-key": str(files.key)}
        for name, user in (("inline", inline), ("path", by_path)):
            client = world.client(world.place.kubeconfig(name, {**user}))
            assert await client.read(Kind.LEASE, NAME) is None
        assert [seen.user for seen in world.api.seen] == ["robot", "robot"]


async def test_a_plug_in_gives_the_token(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        world.api.allow("of-the-plug-in", "robot", *least_rules(NAME))
        credential = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": "of-the-plug-in"},
        }
        (tmp_path / "credential.json").write_text(json.dumps(credential))
        plug_in = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/bin/cat",
            "args": [str(tmp_path / "credential.json")],
            "interactiveMode": "Never",
        }
        client = world.client(world.place.kubeconfig("plug-in", {"exec": plug_in}))
        assert await client.read(Kind.LEASE, NAME) is None
        assert world.api.seen[0].user == "robot"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "\x00",
        f"{{token: {SECRET}",
        f"users: [{{name: u, user: {{token: {SECRET}}}}}]",
        "clusters: 3\ncontexts: 4\ncurrent-context: x",
        f"""{{current-context: x, contexts: [{{name: x, context: {{cluster: c, user: u}}}}],
        clusters: [{{name: c, cluster: {{server: 'https://x', certificate-authority-data: '%%'}}}}],
        users: [{{name: u, user: {{client-key-data: {SECRET}}}}}]}}""",
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_named_and_not_shown(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "broken.kubeconfig"
    path.write_text(text)
    client = KubernetesClient(NAMESPACE, connector(path))
    with pytest.raises(ConfigError, match=f"The kubeconfig {path} cannot be used: ") as caught:
        await client.load()
    assert SECRET not in str(caught.value)
    is_no_yaml = text.startswith("{token")
    assert ("is no YAML, at line 1, column" in str(caught.value)) == is_no_yaml
    with pytest.raises(KubernetesRefusal, match="Nothing was sent"):
        await client.read(Kind.LEASE, NAME)


async def test_outside_a_pod_a_kubeconfig_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    client = KubernetesClient(NAMESPACE, connector(None))
    with pytest.raises(ConfigError, match="Outside a pod -k8s-kubeconfig is needed"):
        await client.load()


# --------------------------------------------------------------------------------- deadlines


async def test_a_slow_answer_ends_with_the_callers_scope(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        client = world.client()
        made = await client.create(Kind.LEASE, NAME, {})
        world.api.faults.append(Fault(verb="update", delay_s=0.5, lands=True))
        with trio.move_on_after(0.1) as scope:
            await client.replace(made, {"leaseTransitions": 1})
        assert scope.cancelled_caught
        # What it was for is decided by a look, not by the answer that nobody took.
        found = await client.read(Kind.LEASE, NAME)
        assert found == made
        await idle(client)


async def idle(client: KubernetesClient) -> None:
    for _ in range(1000):
        if not client.threads_busy:
            return
        await trio.sleep(0.01)
    pytest.fail("a thread goes on for nobody")


async def test_threads_that_nobody_waits_for_end_with_the_deadline(tmp_path: Path) -> None:
    """Many more calls than there is room for: each ends in time, and so do the threads."""
    async with serving(tmp_path) as world:
        client = world.client()
        await client.load()
        world.api.faults.append(Fault(times=1000, delay_s=30))

        async def hasty() -> None:
            with trio.move_on_after(0.3):
                await client.read(Kind.LEASE, NAME)

        async with trio.open_nursery() as nursery:
            for _ in range(CALLS_MAX * 3):
                nursery.start_soon(hasty)
        assert client.threads_busy <= CALLS_MAX
        await idle(client)
        world.api.faults.clear()
        assert await client.read(Kind.LEASE, NAME) is None


async def test_an_answer_that_drips_ends_in_time(tmp_path: Path) -> None:
    """Each byte comes before the socket gives up; the whole has a deadline, too."""
    async with serving(tmp_path) as world:
        client = world.client()
        made = await client.create(Kind.LEASE, NAME, {})
        world.api.faults.append(Fault(drip_s=0.05))
        with trio.move_on_after(0.3) as scope:
            await client.replace(made, {"leaseTransitions": 1})
        assert scope.cancelled_caught
        await idle(client)


@pytest.mark.parametrize("is_abandoned", [False, True])
async def test_what_nobody_waits_for_is_not_sent(tmp_path: Path, is_abandoned: bool) -> None:
    async with serving(tmp_path) as world:
        connection = await trio.to_thread.run_sync(Connection, world.place.with_token("a"))
        errand = Errand(boot_s() + (60 if is_abandoned else -0.001))
        if is_abandoned:
            errand.abandon()
        call = world.client()._call("get", Kind.LEASE, NAME)
        with pytest.raises(KubernetesTemporary, match="no time left") as caught:
            await trio.to_thread.run_sync(connection.ask, call, None, errand)
        assert not isinstance(caught.value, KubernetesUnknown)
        assert world.api.seen == []


def test_what_an_errand_holds_is_let_go_of_once_whoever_comes_first() -> None:
    told: list[str] = []
    before, after = Errand(0), Errand(0)
    before.hold(lambda: told.append("held before"))
    before.abandon()
    before.abandon()
    after.abandon()
    after.hold(lambda: told.append("held after"))
    assert told == ["held before", "held after"]


# -------------------------------------------------------------------------------- least rights


async def test_the_rights_that_are_listed_are_enough_and_each_is_needed(tmp_path: Path) -> None:
    """As the header of `dnslb.election.kubernetes` lists them."""

    async def everything(client: KubernetesClient) -> None:
        for kind in Kind:
            made = await client.create(kind, NAME, {})
            await client.replace(made, {})
            await client.read(kind, NAME)
            async with client.watch(kind, NAME) as changes:
                await anext(changes)
                with trio.move_on_after(0.1):
                    await anext(changes)

    async with serving(tmp_path) as world:
        await everything(world.client())
        for at, rule in enumerate(least_rules(NAME)):
            for verb in rule.verbs:
                rest = tuple(other for other in rule.verbs if other != verb)
                rules = [*least_rules(NAME)]
                rules[at] = Rule(rule.resources, rest, rule.names)
                world.api.objects.stored.clear()
                name = f"less-{verb}"
                config = world.place.with_token(name, user=name, rules=tuple(rules))
                with pytest.raises(KubernetesRefusal, match=f"has to allow {verb} of leases"):
                    await everything(world.client(config))
