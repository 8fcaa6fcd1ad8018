"""What the elector asks of the state before it publishes a lease of a new term. Pure.

Law: no lease of a term is in force before the state of all earlier terms is loaded and nobody of
an earlier term can change it any more.
"""

from __future__ import annotations

from typing import Protocol


class KubernetesGround(Protocol):
    """Implemented by the state store beside the Lease."""

    async def begin_term(self, lease_uid: str, term: int, nonce: str) -> int:
        """Claims the state for this holding of the Lease, publishes what it says, and returns the
        epoch: the recorded one, or a greater one where ``lease_uid`` is not the recorded one.

        To be called after each acquiring, before the lease is published, within the time that
        the Lease is ours; not again for a renewal. Where it fails, nothing may be published, and
        another try is safe. Raises `StoreError`: the state cannot be read, trusted or written."""

    def end_term(self) -> None:
        """No change is proposed any more until the next `begin_term`."""
