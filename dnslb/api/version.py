"""Which API this is: the prefix of its paths and the headers that each answer carries.

Not the version of the program: that one is told in the header and never compared by clients.

Law: what stands under a prefix only ever grows. A shape that changes gets a new prefix.
"""

from __future__ import annotations

API_VERSION = "v1"
PREFIX = f"/{API_VERSION}"

VERSION_HEADER = "Dnslb-Version"
"""The daemon's program version; an answer without it does not come from dnslb."""

STALE_HEADER = "Dnslb-Stale"
"""Why the answer may be out of date: the instance that knows could not be asked."""

TIME_HEADER = "Dnslb-Time"
"""The daemon's wall clock at the answer, RFC 3339: ages are computed against it, so a client
whose clock is wrong, or who sits elsewhere, still shows the right ones."""
