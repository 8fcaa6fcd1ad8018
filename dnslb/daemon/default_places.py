"""Where sockets and state go when nobody says: the first place of a short list that can be used.

Looks at the file system, makes nothing. `dnslbctl` looks for sockets in the same places.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

SYSTEM_SOCKETS = Path("/run/dnslb")
SYSTEM_STATE = Path("/var/lib/dnslb")


def socket_directories(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where control sockets can be, the preferred place first."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    temporary = environ.get("TMPDIR") or "/tmp"
    return (
        SYSTEM_SOCKETS,
        # A relative path there is to be ignored, says the XDG Base Directory Specification.
        *([Path(runtime, "dnslb")] if runtime.startswith("/") else []),
        Path(temporary, f"dnslb-{os.geteuid()}"),
    )


def default_control_socket(instance_id: str, environ: Mapping[str, str]) -> Path:
    *preferred, last = socket_directories(environ)
    directory = next((place for place in preferred if _is_usable(place)), last)
    return directory / f"{instance_id}.sock"


def default_state_dir(environ: Mapping[str, str]) -> Path:
    if _is_usable(SYSTEM_STATE):
        return SYSTEM_STATE
    state_home = environ.get("XDG_STATE_HOME", "")
    if state_home.startswith("/"):
        return Path(state_home, "dnslb")
    return Path(_home(environ), ".local", "state", "dnslb")


def _is_usable(directory: Path) -> bool:
    """Whether files can be made in it, or it can be made itself."""
    place = directory if directory.is_dir() else directory.parent
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _home(environ: Mapping[str, str]) -> str:
    if home := environ.get("HOME"):
        return home
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        # A user without an entry, as in many containers: the daemon says so if it fails.
        return "/"
