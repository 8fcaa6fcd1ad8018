"""The double as a process: ``python -m tests.doubles.kubernetes_api DIRECTORY [--port N] NAME...``

Writes ``NAME.kubeconfig`` and ``NAME.token`` for each name into the directory, prints a line of
JSON with its URL, then serves until it is ended. Of tokens, those are good that
stand in the files now.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import trio

from tests.doubles.kubernetes_api.place import Place
from tests.doubles.kubernetes_api.server import KubernetesApi


async def _serve(directory: Path, port: int, names: list[str]) -> None:
    api = KubernetesApi()
    place = Place(directory, api)
    api.look_for_tokens = place.reread_tokens
    async with trio.open_nursery() as nursery:
        place.port = await nursery.start(
            lambda task_status: api.serve(place.tls(), port=port, task_status=task_status)
        )
        for name in names:
            place.with_token(name)
        sys.stdout.write(json.dumps({"url": place.url}) + "\n")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="*", default=["dnslb"])
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    trio.run(_serve, options.directory, options.port, options.names)


if __name__ == "__main__":
    main()
