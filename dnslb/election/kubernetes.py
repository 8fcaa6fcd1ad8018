"""The `kubernetes` package: how the API server is reached, one request, and one stream of changes.

Blocking, for worker threads (`kubernetes_client`); the only module that loads the package, which
takes a fifth of a second, so it is imported in such a thread and in this mode alone. Of the
package it uses the configuration (in-cluster, kubeconfig, its plug-ins), the credentials and the
connection pool. The generated models stay unused: they turn a MicroTime into a `datetime`, which
writes back another text than client-go does, and drop what they do not know.

What dnslb has to be allowed (RBAC), in the namespace of -k8s-lock-namespace, NAME being
-k8s-lock-name for both kinds:

    apiGroups                resources   resourceNames  verbs
    coordination.k8s.io      leases      NAME           get, list, watch, update
    coordination.k8s.io      leases                     create
    (core, "")               configmaps  NAME           get, list, watch, update
    (core, "")               configmaps                 create

`create` cannot be bound to a name, since the server decides before it has read one; whoever makes
both objects beforehand can leave it out. `list` and `watch` name the object in a field selector,
as a rule with resourceNames demands. Nothing is deleted or patched, and no other object is read.

Law: one request is sent once. Nothing is tried again in here, no redirection is followed, and no
credential stands in an error. Every answer is bounded in size and time.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import ConfigException, load_kube_config
from kubernetes.config.incluster_config import InClusterConfigLoader
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    SSLError,
    TimeoutError as LateError,
)

from dnslb import __version__
from dnslb.election.kubernetes_codec import BYTES_MAX, Answer, Call, one_line, raise_failure
from dnslb.election.kubernetes_credentials import advice, is_of_plug_in, overheard, trouble
from dnslb.election.kubernetes_errand import Errand
from dnslb.errors import (
    ConfigError,
    KubernetesNonsense,
    KubernetesRefusal,
    KubernetesTemporary,
    KubernetesUnknown,
)
from dnslb.net.clock import boot_s

log = logging.getLogger(__name__)
# The package is typed in part only.
_load_in_cluster: Callable[..., Any] = InClusterConfigLoader
_load_kubeconfig: Callable[..., None] = load_kube_config

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_POD = "The service account of this pod"
CONNECT_S_MAX = 5.0
WATCH_S = 60
"""For so long the server keeps a watch; it ends it itself, and a new one goes on from there."""
_SILENCE_S_MAX = WATCH_S + 15.0
_CHUNK_BYTES = 64 * 1024
_METHODS = {"create": "POST", "update": "PUT", "get": "GET", "list": "GET", "watch": "GET"}
_HEADERS = {"Accept": "application/json", "User-Agent": f"dnslb/{__version__}"}
# A watch is silent for long. The kernel finds out within half a minute that nobody is there.
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 4), 10),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", 5), 5),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", 6), 4),
]


class Connection:
    """To one API server, with what the configuration said when it was loaded.

    ``kubeconfig``: None in a pod, where the environment says where the server is, and
    ``service_account`` holds token and CA. Raises `ConfigError` where that cannot be used.
    """

    def __init__(self, kubeconfig: Path | None, service_account: Path = SERVICE_ACCOUNT) -> None:
        self._configuration = configuration = Configuration()
        configuration.socket_options = _SOCKET_OPTIONS
        self._kubeconfig = kubeconfig
        self._where = f"The kubeconfig {kubeconfig}" if kubeconfig else _POD
        self._lock = threading.Lock()
        self._trouble = ""
        try:
            with overheard() as words:
                if kubeconfig is None:
                    _load_in_cluster(
                        token_filename=str(service_account / "token"),
                        cert_filename=str(service_account / "ca.crt"),
                    ).load_and_set(configuration)
                else:
                    _load_kubeconfig(
                        config_file=str(kubeconfig),
                        client_configuration=configuration,
                        persist_config=False,
                    )
            self._pool = RESTClientObject(configuration).pool_manager
            headers = self._headers()
        except Exception as e:
            # The package lets through what YAML, base64, TLS and its own lookups raise.
            raise ConfigError(self._unusable(e)) from e
        is_plain = self.server.startswith("http://")
        gave_some = "authorization" in headers or configuration.cert_file
        if kubeconfig and not gave_some and not is_plain:
            # The server would take us for anybody, and its refusal would point to a Role. By
            # plain http nobody but a proxy that has credentials of its own is spoken to.
            raise ConfigError(f"{self._where} gave no credentials. {advice(kubeconfig, words)}")
        self._warn(words)

    @property
    def server(self) -> str:
        """Its URL."""
        return str(self._configuration.host)

    def close(self) -> None:
        self._pool.clear()

    def ask(self, call: Call, body: bytes | None, errand: Errand) -> Answer:
        """One request and its whole answer. Raises `KubernetesTemporary` where it was not sent
        or only asked for something, `KubernetesUnknown` for a write without an answer."""
        with _translated(call), self._send(call, call.target, body, errand) as response:
            return _whole(call, response, errand)

    def follow(self, call: Call, since: str, errand: Errand) -> Stream:
        """Raises as for any request that only asks."""
        query = urlencode(
            {
                "watch": "1",
                "resourceVersion": since,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(WATCH_S),
            }
        )
        with _translated(call):
            response = self._send(call, f"{call.target}&{query}", None, errand)
            if response.status != 200:
                with response:
                    raise_failure(call, _whole(call, response, errand))
            # The head came in the caller's time; from now on silence is what is expected.
            if isinstance(connection := response.connection, HTTPConnection):
                connection.sock.settimeout(_SILENCE_S_MAX)
            stream = Stream(call, response)
            errand.hold(stream.close)
            return stream

    def _send(
        self, call: Call, target: str, body: bytes | None, errand: Errand
    ) -> urllib3.BaseHTTPResponse:
        try:
            headers = self._headers()
        except Exception as e:
            # To renew a credential runs the same code as to load it, and raises the same.
            raise KubernetesRefusal(f"Nothing was sent for the {call}: {self._unusable(e)}") from e
        if body is not None:
            headers["Content-Type"] = "application/json"
        remaining = errand.remaining_s
        if remaining <= 0:
            raise KubernetesTemporary(f"There was no time left for the {call}.")
        return self._pool.request(
            _METHODS[call.verb],
            self.server + target,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=min(CONNECT_S_MAX, remaining), read=remaining),
            # Reads and writes are repeated by whoever knows what a repetition means.
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def _headers(self) -> dict[str, str]:
        """With the credentials of now: the package reads a token again when it is a minute old,
        or asks its plug-in when it has expired."""
        headers = dict(_HEADERS)
        with self._lock, overheard() as words:
            settings: dict[str, Any] = dict(self._configuration.auth_settings())
            for setting in settings.values():
                # A plug-in that gave an empty token leaves the bare scheme.
                if setting["in"] == "header" and len(str(setting["value"] or "").split()) > 1:
                    headers[setting["key"]] = str(setting["value"]).strip()
        self._warn(words)
        return headers

    def _warn(self, words: list[str]) -> None:
        """Of a plug-in that failed where there are older or other credentials; once for each way
        in which it fails, as it is asked for each request."""
        if self._kubeconfig and words and (why := trouble(words)) != self._trouble:
            self._trouble = why
            log.warning(
                "%s gave no new credentials; those that it has are tried. %s",
                self._where,
                advice(self._kubeconfig, words),
            )

    def _unusable(self, error: Exception) -> str:
        if self._kubeconfig and is_of_plug_in(said := str(error)):
            return f"{self._where} gave no credentials. {advice(self._kubeconfig, [said])}"
        hint = "" if self._kubeconfig else " Outside a pod -k8s-kubeconfig is needed."
        return f"{self._where} cannot be used: {_why(error)}{hint}"


class Stream:
    """The lines of one watch; one thread at a time reads them."""

    def __init__(self, call: Call, response: urllib3.BaseHTTPResponse) -> None:
        self._call = call
        self._response = response
        self._rest = b""
        self._lock = threading.Lock()
        self._is_read = False
        self._is_closed = False

    def next_lines(self) -> list[bytes] | None:
        """Blocks until there are some; None at the end. Raises `KubernetesTemporary` when the
        connection breaks, `KubernetesNonsense` for a line without end."""
        with self._lock:
            if self._is_closed:
                return None
            self._is_read = True
        try:
            with _translated(self._call):
                return self._read()
        finally:
            self._finish_reading()

    def _read(self) -> list[bytes] | None:
        while chunk := self._response.read1(_CHUNK_BYTES, decode_content=False):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if len(self._rest) > BYTES_MAX:
                raise KubernetesNonsense(f"The {self._call} sent a line without end.")
            if found := [line for line in lines if line.strip()]:
                return found
        return None

    def _finish_reading(self) -> None:
        with self._lock:
            self._is_read = False
            if self._is_closed:
                self._response.close()

    def close(self) -> None:
        """From any thread; lets a blocked `next_lines` return soon."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if not self._is_read:
                self._response.close()
                return
        # What the connection is in the middle of decides how it takes this.
        with suppress(OSError, ValueError, RuntimeError, HTTPError):
            self._response.shutdown()


def _why(error: Exception) -> str:
    """Never what stands in the file, which may be a secret: YAML's own words quote it."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"it is no YAML, at line {mark.line + 1}, column {mark.column + 1}."
    if isinstance(error, ConfigException | OSError):
        return one_line(str(error))
    return f"it does not hold together ({type(error).__name__})."


def _whole(call: Call, response: urllib3.BaseHTTPResponse, errand: Errand) -> Answer:
    parts: list[bytes] = []
    size = 0
    # `stream` would wait until a chunk is full, however slowly its bytes come.
    while part := response.read1(_CHUNK_BYTES, decode_content=False):
        parts.append(part)
        size += len(part)
        if size > BYTES_MAX:
            sentence = f"The answer to the {call} is larger than {BYTES_MAX} bytes."
            raise KubernetesUnknown(sentence) if call.writes else KubernetesNonsense(sentence)
        if boot_s() >= errand.ends_at:
            raise LateError("the answer does not end")
    return Answer(response.status, b"".join(parts), response.headers.get("Retry-After", ""))


@contextmanager
def _translated(call: Call) -> Iterator[None]:
    try:
        yield
    except (HTTPError, OSError, ValueError) as e:
        _raise_unreachable(call, e)


def _raise_unreachable(call: Call, error: Exception) -> NoReturn:
    # Where nothing listens, or a name is not known, urllib3 calls it a time-out, too.
    was_sent = not isinstance(error, NewConnectionError | ConnectTimeoutError)
    is_late = isinstance(error, LateError) and not isinstance(error, NewConnectionError)
    what = f"No answer to the {call} in time" if is_late else f"No answer to the {call}"
    if _is_certificate(error):
        raise KubernetesTemporary(
            f"The API server shows a certificate that is not good for the {call}: "
            f"{one_line(str(error))} The certificate authority in the kubeconfig, or of the "
            "service account, has to be the one that signed it."
        ) from error
    sentence = f"{what}: {one_line(str(error)) or type(error).__name__}"
    if call.writes and was_sent:
        raise KubernetesUnknown(f"{sentence} It may be in force.") from error
    raise KubernetesTemporary(sentence) from error


def _is_certificate(error: Exception) -> bool:
    return isinstance(error, SSLError) and any(
        isinstance(cause, ssl.SSLCertVerificationError)
        for cause in (*error.args, error.__cause__, error.__context__)
    )
