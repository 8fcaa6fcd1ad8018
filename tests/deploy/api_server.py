"""The API server's double where pods can reach it: ``python -m tests.deploy.api_server DIR RULES``.

RULES are those of a Role, as JSON. Writes into DIR what is mounted into a pod as its service
account, prints a line, then serves until it is ended.
"""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from typing import Any

import trio

from tests.deploy.switch import GATEWAY
from tests.doubles.kubernetes_api.server import KubernetesApi
from tests.doubles.kubernetes_api.terms import Rule
from tests.doubles.pki import Authority

PORT = 6443
TOKEN = "the-token-of-the-pods"


async def _serve(directory: Path, rules: list[dict[str, Any]]) -> None:
    authority = Authority(directory / "pki")
    files = authority.issue(GATEWAY, name="server")
    assert files.cert is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    api = KubernetesApi()
    allowed = (
        Rule(tuple(one["resources"]), tuple(one["verbs"]), tuple(one.get("resourceNames", ())))
        for one in rules
    )
    api.allow(TOKEN, "system:serviceaccount:dns:dnslb", *allowed)
    account = directory / "serviceaccount"
    account.mkdir()
    (account / "token").write_text(TOKEN)
    (account / "ca.crt").write_bytes(authority.ca_file.read_bytes())
    (account / "namespace").write_text("dns")
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: api.serve(context, host=GATEWAY, port=PORT, task_status=task_status)
        )
        print("serving", flush=True)


if __name__ == "__main__":
    trio.run(_serve, Path(sys.argv[1]), json.loads(sys.argv[2]))
