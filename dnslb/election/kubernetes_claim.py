"""The ConfigMap beside the Lease as values: the state, and whose it is. Pure.

    data:
      state.json: the state, as a state file holds it: with format and digest
      claim: "<uid of the Lease> <term> <nonce>"

Law: what cannot be trusted is refused with a sentence that names the commands which show it and
which begin anew; it is never read as an empty state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dnslb.election.kubernetes_objects import KubernetesObject, Payload
from dnslb.election.state_codec import Saved, from_bytes, to_bytes
from dnslb.errors import StoreError

STATE, CLAIM = "state.json", "claim"
BYTES_MAX = 1024 * 1024
"""Of all values of a ConfigMap, which the API server holds to."""


class Claim(NamedTuple):
    """Who may change the state: one holding of one Lease by one process."""

    lease_uid: str
    term: int
    nonce: str

    def follows(self, other: Claim) -> bool:
        """Whether this one may take over from ``other``. Within one Lease terms count; another
        Lease can only be newer, since it is taken only when nobody can rely on the old one."""
        return self.lease_uid != other.lease_uid or self.term > other.term or self == other

    def is_on_new_ground(self, before: Claim | None) -> bool:
        """Nobody held this Lease before, or none that is remembered: an epoch is to be minted."""
        return before is None or before.lease_uid != self.lease_uid


class Kept(NamedTuple):
    """What the ConfigMap says. ``claim``: None before the first."""

    saved: Saved
    claim: Claim | None


def to_data(kept: Kept, place: str) -> Payload:
    """Raises `StoreError` where it would be too large, or could not be read back."""
    claim = kept.claim
    data = {STATE: to_bytes(kept.saved).decode()}
    if claim is not None:
        data[CLAIM] = f"{claim.lease_uid} {claim.term} {claim.nonce}"
    size = sum(len(value.encode()) for value in data.values())
    if size > BYTES_MAX:
        raise StoreError(
            f"{place} would be {size} bytes, and a ConfigMap holds {BYTES_MAX}: nothing was "
            "changed. `dnslbctl list` shows what there is to decide about; fewer load balancers "
            "per installation, or -election raft, make room."
        )
    return data


def from_object(found: KubernetesObject, place: str, namespace: str) -> Kept:
    """Raises `StoreError`."""
    where = f"-n {namespace} configmap {found.name}"
    way_out = (
        f"`kubectl get {where} -o yaml` shows it; put a copy from before in its place, or stop all "
        f"instances and `kubectl delete {where}` to begin anew"
    )
    state, claim = _text(found.payload, STATE), _text(found.payload, CLAIM)
    if state is None:
        raise StoreError(f"{place} has no {STATE}. dnslb does not start over by itself; {way_out}.")
    return Kept(from_bytes(state.encode(), place, way_out), _claim(claim, place, way_out))


def _claim(text: str | None, place: str, way_out: str) -> Claim | None:
    if text is None:
        return None
    match text.split(" "):
        case [uid, term, nonce] if uid and nonce and term.isascii() and term.isdigit():
            return Claim(uid, int(term), nonce)
        case _:
            raise StoreError(f"The claim in {place} cannot be read; {way_out}.")


def _text(payload: Mapping[str, object], key: str) -> str | None:
    value = payload.get(key)
    return value if isinstance(value, str) else None
