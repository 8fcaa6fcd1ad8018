"""From the Go program's YAML to TOML: key by key, in its order, with what has changed above it.

Not the words (`go_keys`) nor the reading (`yaml_nodes`). Each value is read by the kind of the
flag that it becomes, so that what is written here is what the daemon takes.

Law: nothing is lost silently. What has no place in the new file stays in it as a comment, the
operator's own comments too; what cannot be carried over is an error with its line, and then there
is no file at all. No sentence holds a secret.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import tomli_w

from dnslb.daemon import flags as f, part_flags as p
from dnslb.daemon.cross_checks import is_loopback
from dnslb.daemon.flag import Flag
from dnslb.daemon.kinds import NAME, Kind, Unshown
from dnslb.daemon.loadbalancer_tables import EXPECTED_ENDPOINT
from dnslb.daemon.problems import Findings, found, similar
from dnslb.daemon.verbs import go_keys as go
from dnslb.daemon.verbs.yaml_nodes import Node, YamlFile
from dnslb.errors import InvalidValue
from dnslb.model.loadbalancer import Monitor
from dnslb.model.names import MARKER_LABEL, to_name

WIDTH = 98
_SEPARATORS = re.compile(r"[,\s]+")
_AS_WRITTEN = re.compile(r"[1-9][0-9]*|0|true|false")
_TRUE = ("true", "yes", "on")
_LEASE = {p.K8S_LEASE_DURATION: 30, p.K8S_RENEW_DEADLINE: 15, p.K8S_RETRY_PERIOD: 5}
_MOCKS = ("mock", "mockjson")


class Conversion(NamedTuple):
    toml: str
    warnings: tuple[str, ...]


def convert(file: YamlFile, owner_id: str | None = None) -> Conversion:
    """Raises `ConfigProblems`, which holds every mistake. ``owner_id``: chosen by a person."""
    findings = Findings()
    conversion = _Conversion(file, findings)
    conversion.take_all()
    findings.raise_if_fatal()
    return Conversion(conversion.compose(owner_id), findings.warnings)


@dataclass(slots=True)
class _Conversion:
    file: YamlFile
    findings: Findings
    settings: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    """Flag → its value, typed; without those that were wrong or empty."""
    names: dict[str, int] = field(default_factory=dict)
    """Load balancers, and their lines."""
    _carried: int = 0

    def take_all(self) -> None:
        if self.file.root.entries is None:
            self._error(self.file.root, "", "expected keys and their values")
            return
        lines: dict[str, int] = {}
        for key, node in self.file.root.entries:
            name = (key.text or "").lower()
            if (other := lines.setdefault(name, key.line)) != key.line:
                self._error(key, key.text, f"is given twice; the other is in line {other}")
            elif name == "lb":
                self.tables += self._comments(key.line - 1)
                self._loadbalancers(node)
                self.tables += self._comments(node.end_line)
            else:
                self.settings += self._comments(key.line - 1)
                self._take(name, key, node)

    def _take(self, name: str, key: Node, node: Node) -> None:
        if (becomes := go.BECOMES.get(name)) is not None:
            if node.is_null or node.text == "" or node.items == ():
                self._keep(self.settings, key, node, "Was empty, which is as if it was not there:")
            elif becomes.flag is f.PROVIDER and node.text in _MOCKS:
                self._keep(self.settings, key, node, go.GONE["mockzonepath"], go.NO_PROVIDER)
                self.given[f.PROVIDER.name] = None
                self.findings.warn(self._place(key), "there is no mock provider; see the comment")
            else:
                self._setting(becomes, key, node)
            return
        if (why := go.GONE.get(name)) is not None:
            self._keep(self.settings, key, node, why)
            return
        known = {**dict.fromkeys(go.BECOMES), "lb": None}
        hint = similar(name, known) if name else ""
        self._keep(self.settings, key, node, "The Go program knows no such key, and skipped it:")
        self.findings.warn(
            self._place(key), f"the Go program knows no such key; kept as a comment{hint}"
        )

    # ------------------------------------------------------------------------------- one setting

    def _setting(self, becomes: go.Becomes, key: Node, node: Node) -> None:
        flag = becomes.flag
        items = self._list(flag, key, node) if flag.kind.split else None
        value = items if flag.kind.split else self._one(flag, key, node)
        if value is None:
            return
        self.given[flag.name] = value
        if flag is f.INSTANCE_ID and value in self._agent_names():
            self._rename(key, str(value))
        elif items:
            lines = self._toml_list(flag.key, items)
            self.settings += ["", *_comment(becomes.comment), *lines]
        else:
            self.settings += self._comments(max(key.end_line, node.end_line))
            self.settings += _block(becomes.comment, {flag.key: value})
        if flag is f.PORT:
            self._suggest(go.LISTEN, {f.LISTEN.key: "0.0.0.0"})
        if flag is p.RAFT_ADDRESS and not is_loopback(flag.kind.read(node.text or "").host):
            self.settings += _block(go.INSECURE, {p.RAFT_INSECURE.key: True})
            self.findings.warn(
                self._place(key),
                "the members go on speaking without TLS (raft-insecure), as the Go program's did",
            )

    def _agent_names(self) -> set[str]:
        entries = self.file.root.entries or ()
        found = [node for key, node in entries if (key.text or "").lower() == "agents"]
        nodes = [item for node in found for item in node.items or (node,)]
        return {name for node in nodes for name in _SEPARATORS.split(node.text or "")}

    def _rename(self, key: Node, name: str) -> None:
        """An instance that is called like an agent would vote as that agent."""
        other = f"dnslb-{name}"
        if self._read(f.INSTANCE_ID.kind, key, key, other) is not None:
            self.settings += self._comments(key.end_line)
            comment = go.RENAMED.format(name=name)
            self.settings += _block(comment, {f.INSTANCE_ID.key: other})
            sentence = f"{name!r} is an agent's name too; the instance is called {other!r} now"
            self.findings.warn(self._place(key), f"{sentence}, since it would vote as that agent")

    def _list(self, flag: Flag[Any], key: Node, node: Node) -> dict[str, int] | None:
        """Its texts with their lines."""
        items = self._items(node, key)
        if items is None:
            return None
        texts: dict[str, int] = {}
        for item in items:
            text = item.text or ""
            if flag is p.ETCD and "://" not in text:
                text = f"http://{text}"
            if self._read(flag.kind, key, item, text) is None:
                return None
            if text in texts:
                self.findings.warn(self._place(key, item.line), f"{text!r} {go.SAME}")
            texts.setdefault(text, item.line)
        return texts

    def _items(self, node: Node, key: Node) -> list[Node] | None:
        """The scalars of a list; of a text, its parts between commas or white space."""
        scalars = [node] if node.text is not None else node.items
        if scalars is None or any(item.text is None or item.is_null for item in scalars):
            wrong = next((i for i in scalars or () if i.text is None or i.is_null), node)
            self._error(wrong, key.text, "expected a list of texts")
            return None
        return [
            Node(item.line, item.end_line, part, item.kind)
            for item in scalars
            for part in _SEPARATORS.split((item.text or "").strip())
        ]

    def _one(self, flag: Flag[Any], key: Node, node: Node) -> object:
        if node.text is None:
            self._error(node, key.text, f"expected {flag.kind.expected}")
            return None
        text = node.text
        if node.kind == "bool" and flag.kind.is_switch:
            text = "true" if text.lower() in _TRUE else "false"
        value = self._read(flag.kind, key, node, text)
        if isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return int(value) if value.is_integer() else value
        return None if value is None else text

    def _read(self, kind: Kind[Any], key: Node, node: Node, text: str) -> object:
        """The value that the daemon would make of it, or None after saying what is wrong."""
        if kind.is_secret and text.startswith(("env:", "file:")):
            sentence = "begins with env: or file:, which names another place now"
            self._error(node, key.text, f"{sentence}; write it to a file and give file:PATH")
            return None
        is_text = kind.toml_types == (str,)
        if is_text and node.kind not in ("str", "") and not _AS_WRITTEN.fullmatch(text):
            sentence = f"stands there without quotes, as a {node.kind}; taken as it is written"
            self.findings.warn(self._place(key, node.line), sentence)
        try:
            value: object = kind.read(text)
        except Unshown as error:
            self._error(node, key.text, str(error))
        except ValueError as error:
            said = str(error) if isinstance(error, InvalidValue) else f"expected {kind.expected}"
            self._error(node, key.text, said if kind.is_secret else f"{said}, {found(text)}")
        else:
            return value
        return None

    # ---------------------------------------------------------------------------- load balancers

    def _loadbalancers(self, node: Node) -> None:
        """A mapping of names; or texts as -lb has them: ``name=url,url``."""
        if node.entries is not None:
            for key, below in node.entries:
                self.tables += self._comments(key.line - 1)
                self._loadbalancer(key, below)
            return
        for item in node.items if node.items is not None else (node,):
            name, equals, urls = (item.text or "").partition("=")
            if item.is_null or not equals:
                self._error(item, "lb", "expected a name and its list of endpoints")
                continue
            self.tables += self._comments(item.line - 1)
            key = Node(item.line, item.line, name)
            self._loadbalancer(key, Node(item.line, item.end_line, urls, "str"))

    def _loadbalancer(self, key: Node, node: Node) -> None:
        if node.is_null or node.text == "" or node.items == ():
            self._keep(self.tables, key, node, "Has no endpoints, so nothing was done for it:")
            self.findings.warn(
                self._place(key), "has no endpoints; kept as a comment, and its records stay"
            )
            return
        name = self._name(key)
        items = self._items(node, key)
        if name is None or items is None:
            return
        urls: dict[str, int] = {}
        monitors: set[Monitor] = set()
        for item in items:
            url = item.text or ""
            try:
                monitor = Monitor.from_url(url)
            except InvalidValue as error:
                said = str(error) if url else f"expected {EXPECTED_ENDPOINT}"
                self._error(item, key.text, said)
                continue
            if monitor in monitors:
                self.findings.warn(self._place(key, item.line), f"{url} {go.SAME}")
                continue
            monitors.add(monitor)
            urls[url] = item.line
        hosts = Counter(monitor.host for monitor in monitors)
        for host in sorted(host for host, count in hosts.items() if count > 1):
            self.tables += _comment(go.SHARED.format(host=host))
        if urls:
            self.tables += self._toml_list(name, urls)

    def _name(self, key: Node) -> str | None:
        try:
            name = to_name(key.text or "")
            if name.partition(".")[0] == MARKER_LABEL:
                raise InvalidValue(f"{MARKER_LABEL} is reserved for the fencing marker")
        except InvalidValue as error:
            self._error(key, "lb", str(error))
            return None
        if name in self.names:
            self._error(key, key.text, f"is given twice; the other is in line {self.names[name]}")
            return None
        self.names[name] = key.line
        return name

    # ----------------------------------------------------------------------------------- the file

    def compose(self, owner_id: str | None) -> str:
        """The whole text; ``settings`` and ``tables`` with what neither program was told."""
        self._add_new(owner_id)
        head = _comment(
            f"Written by dnslb config convert from {self.file.name}. What has changed its meaning "
            "says so. See docs/migration.md, and dnslb check -cfg for what it amounts to."
        )
        self.tables += self._comments(len(self.file.lines))
        ttl = _comment(
            go.TTL, '"www.example.org" = { endpoints = ["http://192.0.2.1:80"], ttl = 300 }'
        )
        apart = [""] if any(self.tables[:1]) else []
        lb = [*_comment(go.LB), "[lb]", *ttl, *apart, *self.tables]
        guard = [*_comment(go.GUARD), *_comment("[guard]", 'max-withdraw-total = "100%"')]
        return "\n".join([*head, *self.settings, "", *lb, "", *guard]) + "\n"

    def _add_new(self, owner_id: str | None) -> None:
        given = self.given
        if f.PORT.name not in given:
            self._suggest(go.LISTEN, {f.LISTEN.key: "0.0.0.0"})
        for flag, comment in (
            (f.ZONE_SYNC_INTERVAL_UPLOAD, go.UPLOAD),
            (f.ZONE_SYNC_INTERVAL_DOWNLOAD, go.DOWNLOAD),
        ):
            if flag.name not in given:
                self._suggest(comment, {flag.key: int(flag.default)})
        election = given.get(f.ELECTION.name)
        has_lock = any(name in given for name in (p.K8S_LOCK_NAME.name, p.K8S_LOCK_NAMESPACE.name))
        if election == "k8s" or (election is None and has_lock):
            lease = {flag.key: seconds for flag, seconds in _LEASE.items()}
            self.settings += _block(go.LEASE, lease)
        if given.get(f.PROVIDER.name, "autodns") is not None:
            chosen = owner_id or _owner_id(self.names)
            words = go.OWNER_ID if owner_id is None else go.OWNER_CHOSEN
            self.settings += _block(words, {f.OWNER_ID.key: chosen})
            self._suggest(go.ADOPT, {f.ADOPT_EXISTING.key: True})
            self._suggest(go.VERIFY, {f.VERIFY_SERVERS.key: "off"})

    def _suggest(self, comment: str, setting: Mapping[str, object]) -> None:
        self.settings += ["", *_comment(comment), *(f"# {line}" for line in _toml(setting))]

    def _keep(self, out: list[str], key: Node, node: Node, *comments: str) -> None:
        """What stands in the file, line by line, as a comment."""
        end = max(key.end_line, node.end_line)
        lines = self.file.lines[key.line - 1 : end]
        self._comments(end)  # they stand in these lines
        out += ["", *_comment(*comments)]
        out += [f"#   {_printable(line)}".rstrip() for line in lines]

    def _toml_list(self, key: str, items: Mapping[str, int]) -> list[str]:
        """An item a line, and the operator's comments with it."""
        first, *lines, last = _toml({key: list(items)})
        out = [first]
        for line, number in zip(lines, items.values(), strict=True):
            out += [f"    {text}" for text in self._comments(number - 1) if text]
            beside = "".join(f"  {text}" for text in self._comments(number) if text)
            out.append(line + beside)
        return [*out, last]

    def _comments(self, until_line: int) -> list[str]:
        """The operator's own comments up to a line, that have not been carried over yet."""
        some = []
        comments = self.file.comments
        while self._carried < len(comments) and comments[self._carried].line <= until_line:
            some.append(_printable(comments[self._carried].text))
            self._carried += 1
        return ["", *some] if some else []

    def _place(self, key: Node, line: int = 0) -> str:
        name = _printable(key.text or "").expandtabs(1)
        return self.file.place(line or key.line, name[:80])

    def _error(self, node: Node, key: str | None, sentence: str) -> None:
        self.findings.error(self._place(Node(node.line, node.line, key)), sentence)


def _owner_id(names: Iterable[str]) -> str:
    """From what the names have in common: the same on every instance, whatever its own file has."""
    common: Sequence[str] | None = None
    for name in names:
        labels = name.split(".")[::-1]
        labels = labels[:-1] if len(labels) > 2 else labels
        if common is None:
            common = labels
        common = [a for i, a in enumerate(common) if common[: i + 1] == labels[: i + 1]]
    candidate = "-".join(reversed(common or []))
    try:
        return str(NAME.read(candidate)) if common and len(common) > 1 else "dnslb"
    except ValueError:
        return "dnslb"


def _comment(*paragraphs: str) -> list[str]:
    lines = []
    for paragraph in filter(None, paragraphs):
        lines += textwrap.wrap(paragraph, WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in lines]


def _block(comment: str, setting: Mapping[str, object]) -> list[str]:
    """A setting's lines, with a comment and apart from what stands before it, or neither."""
    return ["", *_comment(comment), *_toml(setting)] if comment else _toml(setting)


def _toml(setting: Mapping[str, object]) -> list[str]:
    return tomli_w.dumps(setting).rstrip("\n").split("\n")


def _printable(text: str) -> str:
    """A comment in TOML is one line and holds no control characters."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in text)
