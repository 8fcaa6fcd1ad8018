"""The shapes that travel over the control socket, as types without behaviour.

Not loaded by `dnslbctl` when it runs (importing typing costs as much as Python itself): there
these names serve the type checker alone.

Law: keys that stand here never go and never change their meaning; times are RFC 3339 UTC,
durations are seconds. Instants end in ``_at``, or are ``since`` and ``at``.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Vote = Literal["up", "down", "unknown"]
LoadBalancerState = Literal["healthy", "degraded", "down", "unknown"]


class Attention(TypedDict):
    severity: Literal["critical", "warning", "info"]
    kind: str
    subject: str
    since: str
    sentence: str
    next: str


class Leader(TypedDict):
    id: str
    address: str


class LoadBalancerCounts(TypedDict):
    total: int
    healthy: int
    degraded: int
    down: int
    unknown: int


class EndpointCounts(TypedDict):
    """``living``: those that count as living, after damping and overrides."""

    total: int
    living: int


class LoadBalancerSummary(TypedDict):
    """``frozen``: why its evaluation was given up, or null. ``published`` null: never read."""

    name: str
    zone: str | None
    state: LoadBalancerState
    published: list[str] | None
    desired: list[str]
    endpoints: EndpointCounts
    rule: str
    sentence: str
    frozen: str | None


class Agent(TypedDict):
    """``age_seconds`` null: nothing was ever heard. ``skew_seconds``: its clock against ours."""

    name: str
    fresh: bool
    suspect: bool
    age_seconds: float | None
    seen_at: str | None
    healthy: int
    skew_seconds: float | None
    sentence: str


class LaggingServer(TypedDict):
    """A server that does not answer yet what was applied ``since`` then. ``silent``: it gives no
    answer that counts. ``names``: the first few of the ``count`` RRsets that are missing there.
    ``overdue``: for longer than -verify-timeout."""

    server: str
    silent: bool
    sentence: str
    names: list[str]
    count: int
    since: str
    overdue: bool


class Zone(TypedDict):
    """``blocked``: why nothing is written now, or null. ``unasked``: servers that cannot be
    asked from here, and why. ``unverified``: why nobody can say whether changes are published."""

    name: str
    last_read_at: str | None
    last_success_at: str | None
    in_flight: bool
    failures: int
    error: str | None
    blocked: str | None
    lagging: list[LaggingServer]
    unasked: list[str]
    unverified: str | None


class Pause(TypedDict):
    """``scope``: "" for everything, else a zone or a load balancer."""

    scope: str
    reason: str
    by: str
    created_at: str
    expires_at: str | None


class Status(TypedDict):
    """``gate``: why no write may go out yet, or null. ``troubled``: load balancers that are not
    healthy, worst first, at most twenty. ``cluster_id`` null: this instance stands alone."""

    instance_id: str
    owner_id: str | None
    version: str
    election: str
    role: Literal["leader", "follower", "candidate", "waiting", "standby", "removed", "dry-run"]
    leader: Leader | None
    term: int | None
    provider: str | None
    fenced: bool
    paused: bool
    dry_run: bool
    uptime_seconds: float
    port: int
    loadbalancers: LoadBalancerCounts
    pending_changes: int
    held_changes: int
    stale: bool
    attention: list[Attention]
    at: str
    revision: int
    cluster_id: str | None
    socket: str
    endpoints: EndpointCounts
    published_addresses: int
    unread_names: int
    troubled: list[LoadBalancerSummary]
    agents: list[Agent]
    zones: list[Zone]
    pauses: list[Pause]
    gate: str | None
    released: list[str]


class Member(TypedDict):
    id: str
    address: str
    suffrage: Literal["voter", "nonvoter", "staging"]
    role: str
    self: bool
    last_contact_seconds: float | None
    match_index: int | None
    lag: int | None
    reached: bool | None
    version: str
    config_digest: str


class EndpointOverride(TypedDict):
    kind: Literal["drain", "force-up", "force-down"]
    reason: str
    by: str
    expires_at: str | None


class AgentVote(TypedDict):
    """What counts of an agent: one without a fresh report votes unknown. ``round_trip_seconds``:
    of the answer to its last check, known only of the agent in the instance that answers."""

    vote: Vote
    age_seconds: float | None
    message: str
    round_trip_seconds: NotRequired[float]


class Endpoint(TypedDict):
    """``counts_as``: what the verdict comes to after damping and overrides."""

    lb: str
    endpoint: str
    address: str
    state: Vote
    override: EndpointOverride | None
    published: bool
    since: str
    votes: dict[str, AgentVote]
    reason: str
    counts_as: Literal["living", "dead", "unknown", "drained"]
    priority: int
    flaps: int


class Change(TypedDict):
    id: str
    zone: str
    name: str
    type: str
    before: list[str]
    after: list[str]
    ttl: int
    reason: str
    state: Literal["pending", "held", "applying", "applied", "published", "failed", "superseded"]
    created_at: str
    not_before: str | None
    attempts: int
    error: str | None
    applied_at: str | None
    published_at: str | None
    cause: str
    plan_id: str | None


class StandingOrder(TypedDict):
    """What a person said and what is still in force. ``lb`` and ``endpoint`` are null where the
    order is about something else: ``subject`` always says what."""

    kind: Literal["drain", "force-up", "force-down", "pause", "approve", "drop", "delete"]
    subject: str
    lb: str | None
    endpoint: str | None
    reason: str
    by: str
    created_at: str
    expires_at: str | None


class PastDecision(TypedDict):
    at: str
    desired: list[str]
    rule: str
    sentence: str


class Why(TypedDict):
    """``at``: the moment it speaks of. For one in the past the endpoints' votes are not kept, so
    ``endpoints`` is empty, and ``published`` is what the changes still in memory say."""

    name: str
    published: list[str] | None
    desired: list[str]
    rule: str
    endpoints: list[Endpoint]
    term: int | None
    plan_id: str | None
    sentence: str
    at: str
    zone: str | None
    state: LoadBalancerState
    frozen: str | None
    gate: str | None
    pauses: list[Pause]
    changes: list[Change]
    history: list[PastDecision]


class CommandRequest(TypedDict):
    """``for_seconds`` and ``expires_at`` exclude each other; neither: without end."""

    kind: str
    subjects: NotRequired[list[str]]
    reason: NotRequired[str]
    lb: NotRequired[str | None]
    expires_at: NotRequired[str | None]
    for_seconds: NotRequired[float | None]
    insist: NotRequired[bool]
    delete: NotRequired[bool]
    timeout: NotRequired[float]


class CommandReply(TypedDict):
    ok: bool
    sentences: list[str]


class ClusterRequest(TypedDict):
    command: str
    arguments: NotRequired[list[str]]


class ClusterReply(TypedDict):
    lines: list[str]
    values: dict[str, object]


class Error(TypedDict):
    """``kind`` is "no-leader" where trying again later may help, else "refused", "bad-request",
    "not-found" or "busy"; over the network also "denied", "control-socket" (``socket``: which)
    and "not-leader" (``leader``: whom to ask)."""

    error: str
    kind: str
    socket: NotRequired[str]
    leader: NotRequired[Leader]


WatchRow = list[object]
"""One endpoint of the watch stream: the fields of `WATCH_ROW`, in that order."""

WATCH_ROW = (
    "endpoint",
    "address",
    "state",
    "counts_as",
    "published",
    "since",
    "votes",
    "override",
    "priority",
    "flaps",
    "reason",
)
"""``votes`` is one letter for each agent, in the order of ``agents``: u up, d down, ? unknown."""


class WatchLoadBalancer(TypedDict):
    """``rows``: all of its endpoints; absent in a delta when the list itself did not change."""

    zone: str | None
    state: LoadBalancerState
    published: list[str] | None
    desired: list[str]
    rule: str
    sentence: str
    frozen: str | None
    ttl: int
    min_published: int
    rows: NotRequired[list[WatchRow]]


class WatchDelta(TypedDict):
    """What changed since ``seq`` - 1; absent keys did not. ``rows``: load balancer → index as
    text → row. ``status`` comes without ``agents``, which stand beside it."""

    seq: int
    at: str
    status: NotRequired[Status]
    agents: NotRequired[list[Agent]]
    members: NotRequired[list[Member]]
    changes: NotRequired[list[Change]]
    orders: NotRequired[list[StandingOrder]]
    lbs: NotRequired[dict[str, WatchLoadBalancer]]
    rows: NotRequired[dict[str, dict[str, WatchRow]]]
    gone: NotRequired[list[str]]
    events: NotRequired[list[dict[str, object]]]
