"""What the console's tests look at: a crowd of names with something of everything, by election.

Nothing here is decided by the controller; it is what the daemon could show.
"""

from __future__ import annotations

from dataclasses import replace

from dnslb.control.views import InstanceInfo
from dnslb.model.cluster import ClusterView, MemberView
from dnslb.model.loadbalancer import Endpoint, Monitor
from dnslb.model.operator import Approval, OperatorState, Override, Pause
from dnslb.model.report import DOWN, UNKNOWN, UP
from dnslb.model.rrset import RRsetKey
from dnslb.model.status import Attention, EndpointView, LogEntry, Status
from tests.doubles.operations import ALONE, INFO, WALL, agent, change, ep, lb, picture

AGENTS = ("fra-1", "fra-2", "ams-3")


def of(prefix: str, count: int, protocol: str = "https", port: int = 443) -> list[EndpointView]:
    return [
        ep(f"{protocol}://{prefix}.{i}:{port}", since_wall=WALL - 86_400 * i)
        for i in range(10, 10 + count)
    ]


def _behind(url: str, address: str) -> EndpointView:
    """One that is checked elsewhere than where it is reached."""
    return ep(url, "up")._replace(
        endpoint=Endpoint(Monitor.from_url(url), address), since_wall=WALL - 7200
    )


api = of("192.0.2", 4)
api[2] = ep(
    "https://192.0.2.12:443",
    "down",
    since_wall=WALL - 42,
    reason="3 of 3 agents say down: connect: timed out after 1 s",
    published=True,
)
shop = [
    ep(f"https://198.51.100.{i}:443", "down", since_wall=WALL - 671, published=True,
       reason="3 of 3 agents say down: HTTP 502")
    for i in (10, 11)
] + [ep("https://198.51.100.12:443", since_wall=WALL - 86_400)]  # fmt: skip
DRAINED = Override("img.example.org", "http://203.0.113.13:80", "drain", "disk swap INC-4471",
                   "kim", WALL - 5400, WALL + 1800)  # fmt: skip
img = [
    ep("http://203.0.113.12:80", since_wall=WALL - 259_200),
    ep("http://203.0.113.13:80", override=DRAINED, counts_as="drained", published=False,
       reason="drained by kim: disk swap INC-4471", since_wall=WALL - 172_800),
    _behind("http://10.1.0.14:8081/ready", "203.0.113.14"),
]  # fmt: skip


def round_trip_s(monitor: Monitor) -> float | None:
    """What this instance's own agent measured: nothing where a check timed out."""
    if monitor.host == "192.0.2.12":
        return None
    return {"https": 0.0234, "http": 0.0042, "tcp": 0.0007}[monitor.protocol]


CROWD: Status = picture(
    lb("api.example.org", *api, state="degraded", min_published=2,
       sentence="3 of 4 endpoints are living"),
    lb("img.example.org", *img, state="degraded", sentence="2 of 3 endpoints are living"),
    lb("mail.example.org", *of("203.0.113", 3, "tcp", 25)),
    lb("shop.example.org", *shop, state="degraded", min_published=2, ttl=30,
       sentence="1 of 3 endpoints is living; 2 withdrawals are held by the guard"),
    lb("www.example.org", *of("192.0.2", 2, "http", 80), ep("http://[2001:db8::80]:80")),
    changes=(
        change("5f1c9a02", key=RRsetKey("shop.example.org", "A"), ttl=30, state="held",
               before=("198.51.100.10", "198.51.100.11", "198.51.100.12"),
               after=("198.51.100.12",), created_wall=WALL - 670,
               reason="2 of 3 addresses would be withdrawn within 60 s, and max-withdraw is 50%"),
        change("0b77d1e4", key=RRsetKey("api.example.org", "A"), state="pending",
               before=("192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13"),
               after=("192.0.2.10", "192.0.2.11", "192.0.2.13"), created_wall=WALL - 3,
               not_before_wall=WALL + 18, reason="192.0.2.12 is down: 3 of 3 agents say so"),
        change("c0ffee01", state="published", created_wall=WALL - 1840, applied_wall=WALL - 1839.6,
               published_wall=WALL - 1838.2, before=("192.0.2.10",),
               after=("192.0.2.10", "192.0.2.11"), reason="192.0.2.11 lives again"),
    ),
    operator=OperatorState(overrides={DRAINED.key: DRAINED}),
    attention=(
        Attention("critical", "held-withdrawal", "5f1c9a02", WALL - 670,
                  "shop.example.org A: 198.51.100.10 and 198.51.100.11 are dead, and taking them "
                  "out would leave 1 of 3; max-withdraw is 50%",
                  "dnslbctl approve 5f1c9a02, or dnslbctl drop 5f1c9a02 to leave it"),
        Attention("warning", "agent-silent", "ams-3", WALL - 94,
                  "ams-3 has been silent for 94 s, and its votes do not count",
                  "look at the agent ams-3: its process, network, certificate and clock"),
        Attention("warning", "released", "old.example.org", WALL - 7200,
                  "old.example.org left the configuration; its records stay in DNS as they are",
                  "dnslbctl release old.example.org to forget it, or with --delete to remove its "
                  "records"),
        Attention("info", "degraded", "api.example.org", WALL - 42,
                  "api.example.org: 3 of 4 endpoints live", "dnslbctl why api.example.org"),
    ),
    released=("old.example.org",),
)  # fmt: skip


def _with_agents(status: Status) -> Status:
    """Three agents, of which one is silent and one disagrees on one endpoint."""
    found = []
    votes = bytearray(status.agents[0].report.votes)  # type: ignore[union-attr]
    for name in AGENTS:
        view = agent(name, status.monitors, bytes(votes))
        if name == "ams-3":
            view = replace(view, fresh=False, seen_mono=1000.0 - 94, sentence="silent for 94 s")
        found.append(view)
    assert {*votes} <= {UP, DOWN, UNKNOWN}
    return replace(status, agents=tuple(found))


CROWD = _with_agents(CROWD)
PAUSE = Pause("", "INC-4471 move of the data centre", "kim", WALL - 300, WALL + 1500)
PAUSED = replace(CROWD, operator=OperatorState(overrides={DRAINED.key: DRAINED},
                                               pauses={"": PAUSE}))  # fmt: skip
APPROVED = Approval("5f1c9a02", "kim", WALL)

RAFT = ClusterView(
    cluster_id="c1",
    role="leader",
    term=42,
    leader=("fra-1", "10.20.1.5:3648"),
    members=(
        MemberView("fra-1", "10.20.1.5:3648", "voter", "leader", True, "0.1.0", "abcdef0123",
                   None, 184_207, 0, True),
        MemberView("fra-2", "10.20.2.5:3648", "voter", "follower", False, "0.1.0", "abcdef0123",
                   0.1, 184_207, 0, True),
        MemberView("ams-3", "10.20.3.5:3648", "voter", "follower", False, "0.1.0", "abcdef0123",
                   312.0, 182_166, 2041, False),
        MemberView("waw-4", "10.20.4.5:3648", "nonvoter", "follower", False, "0.2.0", "fedcba9876",
                   0.2, 184_089, 118, True),
    ),
)  # fmt: skip
LONG_IDS = ("identifier_1", "identifier_2", "identifier_3")
LONG = replace(
    RAFT,
    leader=(LONG_IDS[0], "10.20.1.5:3648"),
    members=tuple(replace(m, id=i) for m, i in zip(RAFT.members, LONG_IDS, strict=False)),
)
"""Of ids that begin alike and fill their column; the third voter is lost."""
K8S = ClusterView(
    role="standby",
    term=12,
    leader=("dnslb-7d9f-x2x1", ""),
    members=(
        MemberView(
            "dnslb-7d9f-x2x1",
            "",
            "voter",
            "leader",
            False,
            "0.1.0",
            "abcdef0123",
            1.2,
            reached=True,
        ),
        MemberView("fra-1", "", "voter", "standby", True, "0.1.0", "abcdef0123"),
    ),
)
SINGLE = replace(ALONE, leader=("fra-1", ""),
                 members=(replace(ALONE.members[0], id="fra-1"),))  # fmt: skip
CLUSTERS = {"raft": RAFT, "long": LONG, "k8s": K8S, "singleton": SINGLE}


def info(election: str = "singleton") -> InstanceInfo:
    """Of the instance that is looked at; ``long``: by raft, with what widens the header most."""
    if election == "long":
        return replace(info("raft"), instance_id=LONG_IDS[0], fenced=False)
    return replace(
        INFO,
        instance_id="fra-1",
        owner_id="example-eu",
        election=election,
        provider="bind",
        fenced=election != "k8s",
    )


def entry(kind: str, message: str, ago_s: float, **fields: object) -> LogEntry:
    return LogEntry(WALL - ago_s, kind, message, fields)


ENTRIES = (
    entry("role", "fra-1 leads, term 42", 3590),
    entry("command", "kim drained http://203.0.113.13:80 in img.example.org", 5400 - 1800),
    entry("verdict", "https://198.51.100.10:443 in shop.example.org is down", 671,
          lb="shop.example.org"),
    entry("held", "5f1c9a02 is held: shop.example.org A would lose 2 of 3", 670,
          lb="shop.example.org"),
    entry("agent", "ams-3 is silent: its votes do not count", 94),
    entry("verdict", "https://192.0.2.12:443 in api.example.org is down", 42, lb="api.example.org"),
)  # fmt: skip
