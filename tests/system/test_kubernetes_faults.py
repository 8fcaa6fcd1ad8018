"""Real replicas while people and kubelets do what they do: tokens, edits, a state that is damaged.

One fleet, since it is the processes that take the time.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from dnslb.election.kubernetes_claim import STATE
from tests.system.grounds import ZONE, BindGround
from tests.system.kubernetes_stage import LEASE_S, Fleet
from tests.system.named import StartNamed

WWW = f"www.{ZONE}"
FIRST, SECOND = "192.0.2.1", "192.0.2.2"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/dns/leases/dnslb"
STATE_MAP = "/api/v1/namespaces/dns/configmaps/dnslb"
EDITS_MAX = 400


class Person:
    """Somebody with the rights of a replica that is not part of the fleet."""

    def __init__(self, fleet: Fleet) -> None:
        server = fleet.server
        token = (server.directory / "person.token").read_text()
        self.client = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {token}"},
            verify=False,
        )

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def put(self, path: str, document: Any) -> int:
        return self.client.put(path, json=document).status_code

    def edit_data(self, **data: str) -> None:
        while True:
            document = self.get(STATE_MAP)
            document["data"] |= data
            if self.put(STATE_MAP, document) == 200:
                return

    @contextmanager
    def labelling(self, path: str) -> Iterator[list[int]]:
        """Sets another label all the time; the outcomes."""
        stop, outcomes = threading.Event(), list[int]()

        def label() -> None:
            for number in range(EDITS_MAX):
                document = self.get(path)
                document["metadata"]["labels"] = {"edit": str(number)}
                outcomes.append(self.put(path, document))
                if stop.wait(0.01):
                    return

        thread = threading.Thread(target=label)
        thread.start()
        try:
            yield outcomes
        finally:
            stop.set()
            thread.join()


class Scene:
    def __init__(self, fleet: Fleet, ground: BindGround) -> None:
        self.fleet, self.ground = fleet, ground
        self.person = Person(fleet)
        fleet.start(*fleet.replicas)
        self.wait_values(FIRST, SECOND)
        self.holder = fleet.holder()

    def wait_values(self, *values: str) -> None:
        self.fleet.wait(lambda: self.ground.values(WWW) == set(values))

    def spec(self) -> Any:
        return self.person.get(LEASE)["spec"]

    def wait_renewed(self) -> None:
        before = self.spec()["renewTime"]
        self.fleet.wait(lambda: self.spec()["renewTime"] != before)

    def check_flow(self, address: str) -> None:
        """What dies is withdrawn, and what lives again is published."""
        endpoint = self.fleet.endpoints[(FIRST, SECOND).index(address)]
        (other,) = {FIRST, SECOND} - {address}
        endpoint.down()
        self.wait_values(other)
        endpoint.up()
        self.wait_values(FIRST, SECOND)


@pytest.mark.long
def test_people_and_kubelets_change_what_is_theirs_to_change(
    named: StartNamed, tmp_path: Path, make_fleet: Callable[..., Fleet]
) -> None:
    ground = BindGround(tmp_path, named)
    scene = Scene(make_fleet(publisher=ground.toml, others=("person",)), ground)
    term = scene.spec()["leaseTransitions"]
    with contextlib.closing(scene.person.client):
        replace_the_tokens(scene)
        edit_the_lease_all_the_time(scene)
        edit_the_state_all_the_time(scene)
        assert (scene.fleet.holder(), scene.spec()["leaseTransitions"]) == (scene.holder, term)
        damage_the_state(scene)


def replace_the_tokens(scene: Scene) -> None:
    """The old ones are good no more at once: the Lease is kept all the same."""
    before = time.monotonic()
    for name in scene.fleet.replicas:
        (scene.fleet.server.directory / f"{name}.token").write_text(f"another-of-{name}")
    while time.monotonic() - before < LEASE_S * 1.5:
        scene.wait_renewed()
    scene.check_flow(FIRST)


def edit_the_lease_all_the_time(scene: Scene) -> None:
    with scene.person.labelling(LEASE) as outcomes:
        for _ in range(5):
            scene.wait_renewed()
    assert 409 in outcomes or len(outcomes) > 5


def edit_the_state_all_the_time(scene: Scene) -> None:
    with scene.person.labelling(STATE_MAP):
        scene.check_flow(SECOND)
    assert scene.person.get(STATE_MAP)["metadata"]["labels"]["edit"]


def damage_the_state(scene: Scene) -> None:
    """Nothing is written any more, and everybody says why; put right, all goes on."""
    fleet, person = scene.fleet, scene.person
    good = person.get(STATE_MAP)["data"][STATE]
    serial = scene.ground.version()
    person.edit_data(**{STATE: good.replace("192.0.2.1", "192.0.2.9", 1)})
    fleet.endpoints[0].down()
    (other,) = fleet.replicas.keys() - {scene.holder}
    fleet.wait(lambda: "kubectl delete" in fleet.row(other, "kubernetes-state"))
    said = "say down"
    fleet.wait(lambda: said in fleet.ctl(scene.holder, "events").stdout)
    fleet.wait(lambda: "kubectl get -n dns configmap dnslb" in fleet[scene.holder].log)
    assert scene.ground.version() == serial
    person.edit_data(**{STATE: good})
    scene.wait_values(SECOND)
    fleet.wait(partial(lambda: fleet.row(other, "kubernetes-state") == ""))
    assert json.loads(person.get(STATE_MAP)["data"][STATE])["format"] == 1


def test_a_start_without_an_api_server_says_so_and_ends_when_told(
    tmp_path: Path, make_fleet: Callable[..., Fleet]
) -> None:
    (tmp_path / "zones").mkdir()
    publisher = f'provider = "file"\nfile-dir = "{tmp_path / "zones"}"\nfile-shared = true\n'
    fleet = make_fleet(publisher=publisher, size=1)
    fleet.server.process.kill()
    fleet.start("r1")
    fleet.wait(lambda: "cannot be read: No answer" in fleet.row("r1", "kubernetes-state"))
    assert fleet.status("r1")["role"] != "leader"
    assert fleet.stop("r1") == 0
    assert "did not end" not in fleet["r1"].log
