"""Finds the socket of the instance that runs here, where the operator named none.

Not a registry: it looks where daemons put their sockets by default, and asks only when it finds
more than one.

Law: it never guesses. Of several that do not belong together none is taken; they are listed.
"""

from __future__ import annotations

import os
import stat

from dnslbctl.client import Ambiguous, Broken, Client, Unreached

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Mapping
    from typing import Any

PROBE_S = 2.0
_SILENT = {"instance_id": "?", "election": "does not answer", "role": ""}


def find_instance(environ: Mapping[str, str], timeout_s: float) -> Client:
    """The client of the instance that runs here; raises `Unreached` or `Ambiguous`."""
    uid = os.geteuid()
    directories = search_directories(environ, uid)
    if paths := find_sockets(directories, uid):
        return choose_instance(paths, timeout_s)
    raise Unreached(
        f"no daemon is reached: no socket in {', '.join(directories)}; "
        "is dnslb running? Name its socket with --socket PATH or in DNSLB_SOCKET"
    )


def search_directories(environ: Mapping[str, str], uid: int) -> list[str]:
    """Where daemons put their sockets when they are not told where, best first."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    temporary = environ.get("TMPDIR") or "/tmp"
    # A relative path there is to be ignored, says the XDG Base Directory Specification.
    below_runtime = [f"{runtime}/dnslb"] if runtime.startswith("/") else []
    return ["/run/dnslb", *below_runtime, f"{temporary}/dnslb-{uid}"]


def find_sockets(directories: list[str], uid: int) -> list[str]:
    """Paths of sockets there; a directory that a third user could have made is left out."""
    paths = []
    for directory in directories:
        try:
            trusted = directory == "/run/dnslb" or os.stat(directory).st_uid in (0, uid)
            names = sorted(os.listdir(directory)) if trusted else []
        except OSError:
            continue  # not there, or not for us: the next one
        for name in names:
            path = f"{directory}/{name}"
            try:
                if name.endswith(".sock") and stat.S_ISSOCK(os.stat(path).st_mode):
                    paths.append(path)
            except OSError:
                continue  # gone since it was listed
    return paths


def choose_instance(paths: list[str], timeout_s: float) -> Client:
    """The client of the one instance among ``paths``; raises `Unreached` or `Ambiguous`.

    Of several that belong to one cluster any will do; waiting ones do not count, nor do sockets
    that nobody serves or that this user may not use. One that hangs does.
    """
    if len(paths) == 1:
        return Client(paths[0], timeout_s)
    found: list[tuple[str, dict[str, Any]]] = []
    failure = None
    for path in paths:
        try:
            found.append((path, Client(path, min(timeout_s, PROBE_S)).get("/status").value))
        except Unreached as error:
            failure = error
            if isinstance(error, Broken) or isinstance(error.__cause__, TimeoutError):
                found.append((path, _SILENT))
    serving = [one for one in found if one[1].get("role") != "waiting"] or found
    if not serving:
        raise failure or Unreached("no daemon is reached")
    clusters = {status.get("cluster_id") for _, status in serving}
    if len(serving) > 1 and (len(clusters) > 1 or None in clusters):
        listed = "\n".join(
            f"  {path}  {status.get('instance_id')} ({status.get('election')})"
            for path, status in serving
        )
        raise Ambiguous(f"several instances run here; name one with --socket PATH:\n{listed}")
    serving.sort(key=lambda one: one[1].get("role") != "leader")
    return Client(serving[0][0], timeout_s)
