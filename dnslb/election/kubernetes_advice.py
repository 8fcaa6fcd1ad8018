"""What a person should look at when the API server cannot be used, by the kind of the error. Pure.

Not what happened: the error says so itself. Law: rights are named only where they were refused.
"""

from __future__ import annotations

from dnslb.errors import (
    DnslbError,
    KubernetesError,
    KubernetesNonsense,
    KubernetesRefusal,
    KubernetesTemporary,
    KubernetesThrottled,
    StoreError,
)

_CREDENTIALS = "see to the credentials in the kubeconfig or of the service account"
_ROLE = (
    "compare the Role of dnslb with docs/kubernetes.md: kubectl auth can-i --list -n {namespace}"
)
_REFUSED = {None: _CREDENTIALS, 401: _CREDENTIALS, 403: _ROLE}
_OTHERWISE_REFUSED = "see to the namespace {namespace}, and to what the API server says"


def next_step(error: DnslbError, namespace: str) -> str:
    """Without a full stop, as it stands in a row."""
    match error:
        case KubernetesRefusal(status=status):
            return _REFUSED.get(status, _OTHERWISE_REFUSED).format(namespace=namespace)
        case KubernetesThrottled():
            return "see to the load of the API server"
        case KubernetesTemporary():
            return "see to the API server, and to the network and TLS on the way there"
        case KubernetesNonsense():
            return "see to what answers at the URL of the API server: a proxy may stand before it"
        case StoreError(__cause__=KubernetesError() as cause):
            return next_step(cause, namespace)
        case StoreError():
            return "see to what stands in the ConfigMap"
    return "see to the API server"
