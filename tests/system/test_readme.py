"""The README's words for a BIND of one's own, followed to the letter but for paths and ports."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

from dnslb.providers.rfc2136_key import load_key
from tests.system.grounds import ZONE, BindGround
from tests.system.named import StartNamed
from tests.system.stage import CLI, Stage

README = Path(__file__).resolve().parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """What stands between the section's fences of this language."""
    section = README.read_text().partition("\n## With a BIND of your own\n")[2]
    found: list[str] = []
    lines: list[str] | None = None
    opened = ""
    for line in section.partition("\n## ")[0].splitlines():
        if not line.startswith("```"):
            if lines is not None:
                lines.append(line)
        elif lines is None:
            opened, lines = line.removeprefix("```"), []
        else:
            if opened == language:
                found.append("\n".join(lines) + "\n")
            lines = None
    return found


def test_a_newcomer_publishes_to_a_named_of_their_own(named: StartNamed, tmp_path: Path) -> None:
    (conf,) = blocks("")
    policy = re.search(r"update-policy \{.*?\};\n", conf, re.DOTALL)
    assert policy is not None
    # Whatever else changes the zone in these tests is somebody else.
    options = policy[0].replace("{", '{ grant "admin-key." zonesub ANY;', 1)
    ground = BindGround(tmp_path, named, options)
    foreign = ground.foreign()
    (toml,) = blocks("toml")
    given = tomllib.loads(toml)
    assert given["provider"] == "bind"
    stage = Stage(tmp_path)
    publisher = toml.partition("[lb]")[0].replace('election = "singleton"\n', "")
    publisher = publisher.replace(
        f'"{given["bind-server"]}"', f'"127.0.0.1:{ground.named.port}"'
    ).replace(f'"{given["bind-key-file"]}"', f'"{ground.key_file}"')
    stage.publisher = publisher
    stage.configure()
    commands = [line.split("#")[0].split() for line in blocks("sh")[1].splitlines()]
    shown = []
    for command in commands:
        if command[0] == "dnslb" and command[1] in ("check", "plan"):
            arguments = [str(stage.config) if a == "dnslb.toml" else a for a in command[1:]]
            done = subprocess.run(
                [*CLI, *arguments, "-verify-servers", f"127.0.0.1:{ground.named.port}"],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            shown.append((command[1], done.returncode))
    assert shown == [("check", 0), ("plan", 2)]
    try:
        stage.start()
        stage.wait(lambda: ground.values(f"www.{ZONE}") == {"192.0.2.1", "192.0.2.2"})
        stage.endpoints[0].down()
        stage.wait(lambda: ground.values(f"www.{ZONE}") == {"192.0.2.2"})
        (marker,) = ground.markers()
        assert f"owner={given['owner-id']} " in marker
        assert stage.stop() == 0
        assert ground.foreign() == foreign
    finally:
        stage.close()


def test_the_key_is_made_as_the_readme_says(tmp_path: Path, named: StartNamed) -> None:
    command = blocks("sh")[0].partition("|")[0].split()
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    made = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
    )
    (tmp_path / "key").write_text(made.stdout)
    key = load_key(tmp_path / "key")
    (conf,) = blocks("")
    assert f'grant "{key.name}." zonesub A AAAA;' in conf


def test_the_zone_is_one_that_named_loads(tmp_path: Path, named: StartNamed) -> None:
    (text,) = blocks("dns")
    (tmp_path / "zone").write_text(text)
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin:/usr/bin"
    done = subprocess.run(
        ["named-checkzone", ZONE, str(tmp_path / "zone")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stdout
