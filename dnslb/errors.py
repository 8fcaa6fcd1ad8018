"""The one error tree of dnslb: who is at fault, and whether trying again can help.

    DnslbError
    ├── ConfigError            ours, permanent: a flag, file or value is wrong; names the place
    ├── InvalidValue           ours, permanent: a value that its constructor refuses
    ├── PlanRefused            ours, permanent: a plan that would break a rule refused itself
    ├── CommandRefused         theirs, permanent: what an operator asked for is not done, and why
    │   ├── NotLeader          another member would do it; names that member
    │   └── NoLeader           nobody could do it now; trying again later may help
    ├── LocalError             ours, temporary: disk, sockets, permissions of this machine
    │   └── StoreError         the state store could not make a change durable
    │       └── StoreUncertain nobody knows whether it did; look at what is in force
    ├── SourceError            theirs, temporary: a health source gives nothing usable
    ├── KubernetesError        theirs: the API server of Kubernetes
    │   ├── KubernetesConflict  the object is not as we read it, or there already: read again
    │   ├── KubernetesRefusal   401, 403, no such namespace, not valid: a person has to act
    │   ├── KubernetesTemporary unreachable, slow, 5xx: try again later; nothing was written
    │   │   ├── KubernetesThrottled  429: come back after ``retry_after_s``
    │   │   └── KubernetesUnknown    a write was sent, no answer: read again before anything else
    │   └── KubernetesNonsense  an answer that cannot be read
    └── ProviderError          theirs: the DNS provider; the message is a sentence for an operator
        ├── ProviderTemporary  try again later (``retry_after_s`` when the provider said when)
        ├── ProviderRefusal    trying the same again cannot help until a person changes something
        ├── ProviderConflict   the zone is not as we read it: read again, then decide again
        ├── OutcomeUnknown     sent, no answer: read again before anything else
        └── FenceLost          another writer holds the fence: resign

Foreign exceptions are translated once, at the edge where they arise, with their cause.
"""

from __future__ import annotations


class DnslbError(Exception):
    """Base of everything that dnslb raises on purpose; ``str()`` is one sentence for a person."""


class InvalidValue(DnslbError, ValueError):
    """A value that its constructor refuses; the message says what was expected."""


class ConfigError(DnslbError):
    """Something in the configuration is wrong; the message names key, place and expectation."""


class PlanRefused(DnslbError):
    """A plan that would break a rule; never sent."""


class CommandRefused(DnslbError):
    """What an operator asked for is refused; nothing was changed."""


class NotLeader(CommandRefused):
    """Only the leader does that, and it is not this member; nothing was changed."""

    def __init__(self, leader_id: str, leader_address: str) -> None:
        super().__init__(f"this is not the leader: it is {leader_id} at {leader_address}")
        self.leader_id = leader_id
        self.leader_address = leader_address


class NoLeader(CommandRefused):
    """Only the leader does that, and none is known; nothing was changed."""


class LocalError(DnslbError):
    """This machine's disk, sockets or permissions stand in the way."""


class StoreError(LocalError):
    """The state store could not make a change durable; the change is not in force."""


class StoreUncertain(StoreError):
    """The change may be in force, now or soon, or never."""


class SourceError(DnslbError):
    """A health source gives nothing usable."""


class KubernetesError(DnslbError):
    """The API server could not do what was asked; never to be read as "there is none"."""


class KubernetesConflict(KubernetesError):
    """Another has written meanwhile; read again and decide again."""


class KubernetesRefusal(KubernetesError):
    """The same request will be refused again until a person changes something; ``status`` of the
    answer, None where nothing was sent, as there are no credentials to send it with."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class KubernetesTemporary(KubernetesError):
    """Try again later; of a write: it was not carried out, but where it is `KubernetesUnknown`."""


class KubernetesThrottled(KubernetesTemporary):
    """Too many requests; ``retry_after_s`` in seconds when the server named a time."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KubernetesUnknown(KubernetesTemporary):
    """The write may be in force, now or soon, or never."""


class KubernetesNonsense(KubernetesError):
    """What came back is not what such a server says; of a read, since a write is then unknown."""


class ProviderError(DnslbError):
    """The DNS provider could not do what was asked; never to be read as "empty"."""


class ProviderTemporary(ProviderError):
    """Try again later; ``retry_after_s`` in seconds when the provider named a time."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderRefusal(ProviderError):
    """The same request will be refused again until a person changes something."""


class ProviderConflict(ProviderError):
    """The zone is not as it was read; read again and decide again."""


class OutcomeUnknown(ProviderError):
    """The write was sent and no answer came; read again before anything else."""


class FenceLost(ProviderError):
    """Another writer holds the fence of this zone; whoever gets this resigns."""
