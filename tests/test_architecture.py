"""The plan of the house, held by tests: who imports whom, what a start loads, and *tidy*.

The import contracts stand in pyproject.toml; each is broken here on purpose, in a copy. What a
static graph cannot see, start-up cost, is read from a process of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import grimp
import pytest

from tests import tidy
from tests.tidy import ROOT, Source

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {
    contract["id"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
}
PACKAGES = ("dnslb", "dnslbctl")
# Where the name of a distribution is not the name that is imported.
IMPORT_NAMES = {
    "dnspython": "dns",
    "prometheus-client": "prometheus_client",
    "pyyaml": "yaml",
    "tomli-w": "tomli_w",
}


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
            "--no-logo",
        ],
        cwd=directory,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def broken_contracts(output: str) -> set[str]:
    return {name for name in CONTRACTS if f"{CONTRACTS[name]['name']} BROKEN" in output}


# ------------------------------------------------------------------------------- the contracts


def test_the_import_contracts_are_kept() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def bare_house(tmp_path: Path) -> Path:
    """A copy of the contracts over packages that hold nothing, and so keep them all."""
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    rooms = [
        *re.findall(r"\w+", " ".join(CONTRACTS["layers"]["layers"])),
        *("election/raft", "../dnslbctl", "../dnslbctl/console"),
    ]
    for room in rooms:
        (tmp_path / "dnslb" / room).mkdir(parents=True)
        (tmp_path / "dnslb" / room / "__init__.py").touch()
    (tmp_path / "dnslb" / "__init__.py").touch()
    return tmp_path


BREACHES = [
    ("layers", "dnslb/net/bad.py", "import dnslb.sources"),
    ("layers", "dnslb/sources/bad.py", "from dnslb import decide"),
    ("layers", "dnslb/providers/bad.py", "def late():\n    import dnslb.verify"),
    ("layers", "dnslb/verify/bad.py", "from dnslb.decide import intents"),
    ("layers", "dnslb/model/bad.py", "import dnslb.api"),
    ("layers", "dnslb/agent/bad.py", "import dnslb.daemon"),
    ("layers", "dnslb/newroom.py", ""),
    ("pure", "dnslb/errors/bad.py", "import os.path"),
    ("pure", "dnslb/model/bad.py", "from random import random"),
    ("pure", "dnslb/ports/bad.py", "import trio"),
    ("pure", "dnslb/api/bad.py", "import socket"),
    ("pure", "dnslb/decide/bad.py", "from time import monotonic"),
    ("pysyncobj", "dnslb/election/raft_bad.py", "import pysyncobj"),
    ("octodns", "dnslb/providers/bad.py", "from octodns.provider.plan import Plan"),
    ("kubernetes", "dnslb/election/bad.py", "import kubernetes.client"),
    ("cryptography", "dnslb/daemon/bad.py", "from cryptography import x509"),
    ("textual", "dnslbctl/bad.py", "from textual.app import App"),
    ("ctl-sees-api", "dnslbctl/bad.py", "import dnslb.model"),
    ("ctl-sees-api", "dnslbctl/bad.py", "from dnslb import __version__"),
    ("ctl-without-trio", "dnslbctl/console/bad.py", "import trio"),
    ("daemon-without-ctl", "dnslb/daemon/bad.py", "import dnslbctl.console"),
]
LIBERTIES = {
    "dnslb/daemon/good.py": "import dnslb.agent, dnslb.sources, dnslb.decide, trio, time, os",
    "dnslb/agent/good.py": "import dnslb.sources, trio",
    "dnslb/sources/good.py": "import dnslb.net, dnslb.ports, dnslb.model, trio",
    "dnslb/verify/good.py": "import dnslb.net, dnslb.ports, dnslb.model, dnslb.errors, trio",
    "dnslb/control/good.py": "import dnslb.model, dnslb.api",
    "dnslb/election/raft/good.py": "import pysyncobj.node",
    "dnslb/election/kubernetes.py": "import kubernetes",
    "dnslb/providers/octodns.py": "import octodns",
    "dnslb/providers/octodns_worker.py": "import octodns.manager",
    "dnslbctl/good.py": "import dnslb.api, socket, asyncio",
    "dnslbctl/console/good.py": "import textual, dnslbctl.good",
}


@pytest.mark.parametrize(("contract", "path", "text"), BREACHES)
def test_a_breach_breaks_its_contract(
    bare_house: Path, contract: str, path: str, text: str
) -> None:
    (bare_house / path).write_text(text)
    done = lint_imports(bare_house)
    assert done.returncode == 1, done.stdout + done.stderr
    assert broken_contracts(done.stdout) == {contract}, done.stdout + done.stderr


def test_what_the_plan_allows_breaks_no_contract(bare_house: Path) -> None:
    for path, text in LIBERTIES.items():
        (bare_house / path).write_text(text)
    done = lint_imports(bare_house)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_can_fail() -> None:
    assert {contract for contract, _, _ in BREACHES} == set(CONTRACTS)


# ----------------------------------------------------------------------- what the graph can say


@pytest.fixture(scope="module")
def foreign_imports() -> dict[str, set[str]]:
    """Module → what it imports that is neither the standard library nor the module's package."""
    graph = grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)
    return {
        module: {
            imported
            for imported in graph.find_modules_directly_imported_by(module)
            if imported.partition(".")[0] not in {*sys.stdlib_module_names, _package(module)}
        }
        for module in graph.modules
        if _package(module) in PACKAGES
    }


def _package(module: str) -> str:
    return module.partition(".")[0]


def _below(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_the_api_needs_the_standard_library_only() -> None:
    graph = grimp.build_graph("dnslb", include_external_packages=True, cache_dir=None)
    offenders = [
        f"{module} imports {imported}"
        for module in graph.modules
        if _below(module, "dnslb.api")
        for imported in graph.find_modules_directly_imported_by(module)
        if imported not in sys.stdlib_module_names and not _below(imported, "dnslb.api")
    ]
    assert_none(offenders)


def test_the_command_line_needs_the_standard_library_and_the_api_only(
    foreign_imports: dict[str, set[str]],
) -> None:
    assert_none(
        f"{module} imports {imported}"
        for module, foreign in foreign_imports.items()
        if _below(module, "dnslbctl") and not _below(module, "dnslbctl.console")
        for imported in foreign
        if not _below(imported, "dnslb.api")
    )


def test_dependencies_are_declared_and_used(foreign_imports: dict[str, set[str]]) -> None:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    always = _import_names(project["dependencies"])
    declared = always | _import_names(
        requirement for extra in extras if extra != "tests" for requirement in extras[extra]
    )
    used = {_package(name) for foreign in foreign_imports.values() for name in foreign}
    assert_none(f"{name} is imported, but not declared" for name in used - declared - {*PACKAGES})
    assert_none(f"{name} is declared, but not imported" for name in always - used)


def _import_names(requirements: Iterable[str]) -> set[str]:
    names = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in requirements}
    return {IMPORT_NAMES.get(name, name) for name in names}


# --------------------------------------------------------------------------- what a start loads


def modules_loaded_by(*arguments: str, exit_code: int = 0) -> set[str]:
    """Modules that a Python process loads, beyond those that every process here loads."""

    def loaded(*arguments: str, exit_code: int) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = done.stderr.splitlines()
        timings = [line for line in lines if line.startswith("import time:")]
        said = "\n".join(line for line in lines if line not in timings)
        if done.returncode != exit_code:
            pytest.fail(f"exit code {done.returncode} from {arguments}:\n{said}", pytrace=False)
        return {timing.rpartition("|")[2].strip() for timing in timings}

    return loaded(*arguments, exit_code=exit_code) - loaded("-c", "", exit_code=0)


def needless_to_the_command_line(modules: Iterable[str]) -> Iterator[str]:
    return (
        module
        for module in modules
        if _package(module) not in {*sys.stdlib_module_names, "dnslbctl"}
        and module != "dnslb"
        and not _below(module, "dnslb.api")
    )


def test_the_verbs_load_the_standard_library_and_the_api_only() -> None:
    modules = ["cli", "commands", "output", "client"]
    loaded = modules_loaded_by("-c", f"from dnslbctl import {', '.join(modules)}")
    assert {f"dnslbctl.{module}" for module in modules} <= loaded
    assert_none(needless_to_the_command_line(loaded))


def test_raft_leader_loads_the_standard_library_and_the_api_only(tmp_path: Path) -> None:
    no_daemon = str(tmp_path / "no.sock")
    loaded = modules_loaded_by(
        "-m", "dnslbctl", "--socket", no_daemon, "raft", "leader", exit_code=3
    )
    assert "dnslbctl.client" in loaded
    assert not loaded & {"ssl", "dnslbctl.remote"}
    assert_none(needless_to_the_command_line(loaded))


def test_over_the_network_ssl_is_loaded_for_certificates_only(tmp_path: Path) -> None:
    there = ["-m", "dnslbctl", "--address", "127.0.0.1:1"]
    loaded = modules_loaded_by(*there, "raft", "leader", exit_code=3)
    assert "dnslbctl.remote" in loaded
    assert "ssl" not in loaded
    assert_none(needless_to_the_command_line(loaded))
    none = str(tmp_path / "none")
    files = ["--ca", none, "--crt", none, "--key", none]
    loaded = modules_loaded_by(*there, *files, "raft", "leader", exit_code=1)
    assert {"dnslbctl.secure", "ssl"} <= loaded
    assert_none(needless_to_the_command_line(loaded))


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [((), 1), (("--help",), 0), (("status",), 3), (("drain", "x", "--reason", "y"), 3)],
)
def test_only_an_open_console_loads_textual(
    tmp_path: Path, words: tuple[str, ...], exit_code: int
) -> None:
    """Without a verb, too, where there is no terminal."""
    where = ("--socket", str(tmp_path / "no.sock"))
    loaded = modules_loaded_by("-m", "dnslbctl", *where, *words, exit_code=exit_code)
    heavy = {"textual", "rich", "asyncio"}
    assert_none(module for module in loaded if _package(module) in heavy)
    assert_none(module for module in loaded if _below(module, "dnslbctl.console"))


def test_the_daemon_loads_no_election_or_provider_that_was_not_asked_for() -> None:
    loaded = modules_loaded_by("-c", "import dnslb.daemon.main")
    heavy = {"kubernetes", "urllib3", "pysyncobj", "octodns", "textual", "cryptography"}
    heavy |= {"yaml", "tomli_w"}
    assert_none(module for module in loaded if _package(module) in heavy)


def test_only_who_connects_to_kubernetes_loads_its_package() -> None:
    """It takes a fifth of a second, so even a daemon of this mode imports it in a thread."""
    electors = ("singleton", "raft.elector", "kubernetes_client")
    imports = "; ".join(f"import dnslb.election.{elector}" for elector in electors)
    parts = "import dnslb.daemon.raft_parts, dnslb.daemon.kubernetes_parts"
    loaded = modules_loaded_by("-c", f"{parts}; {imports}")
    assert "dnslb.election.kubernetes_client" in loaded
    foreign = {"kubernetes", "urllib3", "requests", "pydantic", "aiohttp", "yaml"}
    assert_none(module for module in loaded if _package(module) in foreign)


def test_who_stands_for_a_lease_loads_nothing_of_raft() -> None:
    loaded = modules_loaded_by("-c", "import dnslb.daemon.kubernetes_parts, dnslb.daemon.instance")
    assert_none(module for module in loaded if _package(module) == "pysyncobj")
    assert_none(module for module in loaded if _below(module, "dnslb.election.raft"))


# ---------------------------------------------------------------------------------------- tidy


@pytest.fixture(scope="module")
def product() -> list[Source]:
    return tidy.sources("dnslb/*.py", "dnslbctl/*.py")


@pytest.fixture(scope="module")
def everything() -> list[Source]:
    return tidy.sources()


def assert_none(offenders: Iterable[str]) -> None:
    if listed := sorted(offenders):
        pytest.fail("\n".join(listed), pytrace=False)


def assert_tidy(rule: Callable[[Source], Iterator[str]], sources: Iterable[Source]) -> None:
    assert_none(offence for source in sources for offence in rule(source))


def python(sources: Iterable[Source]) -> list[Source]:
    return [source for source in sources if source.path.endswith(".py")]


def test_every_module_says_what_it_is(product: list[Source]) -> None:
    assert_tidy(tidy.missing_header, product)


def test_the_two_packages_hold_a_version_and_nothing_else(product: list[Source]) -> None:
    tops = [source for source in product if source.path.count("/") == 1]
    inits = [source for source in tops if source.path.endswith("/__init__.py")]
    assert len(inits) == len(PACKAGES)
    assert_tidy(tidy.more_than_a_version, inits)
    assert len({source.text for source in inits}) == 1, "the two versions differ"


def test_files_are_short(everything: list[Source]) -> None:
    assert_tidy(tidy.long_file, python(everything))


def test_functions_are_short(everything: list[Source]) -> None:
    assert_tidy(tidy.long_function, python(everything))


def test_lines_are_short(everything: list[Source]) -> None:
    assert_tidy(tidy.long_line, python(everything))


def test_no_bare_except(everything: list[Source]) -> None:
    assert_tidy(tidy.bare_except, python(everything))


def test_nothing_is_put_off(everything: list[Source]) -> None:
    assert_tidy(tidy.postponed_work, everything)
    assert_tidy(tidy.unwritten_code, python(everything))


def test_only_one_module_reads_clocks(product: list[Source]) -> None:
    # `dnslbctl` is another process and sees of dnslb only the API: its time-outs need a clock.
    allowed = {
        "dnslbctl/client.py": frozenset({"time.monotonic"}),
        "dnslbctl/aclient.py": frozenset({"time.monotonic", "asyncio.get_running_loop().time"}),
    }
    assert_none(
        offence
        for source in product
        if source.path != "dnslb/net/clock.py"
        for offence in tidy.clock_reads(source, allowed.get(source.path, frozenset()))
    )


def test_files_are_named_by_nouns_of_the_field() -> None:
    assert_none(path for path in tidy.project_files() if tidy.vague_name(path))


def test_no_path_of_a_build_machine(everything: list[Source]) -> None:
    assert_tidy(tidy.build_path, everything)


def test_nothing_else_lies_at_the_top() -> None:
    expected = {"pyproject.toml", "dnslb", "dnslbctl", "tests", "docs", "LICENSE", "README.md"}
    tops = {path.partition("/")[0] for path in tidy.project_files(tracked_only=True)}
    assert_none(top for top in tops - expected if not top.startswith("."))
