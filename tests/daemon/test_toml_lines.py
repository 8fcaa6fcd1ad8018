"""The lines of keys, against known lines and against what `tomllib` reads."""

from __future__ import annotations

import tomllib

from hypothesis import given, strategies as st

from dnslb.daemon.problems import KeyPath
from dnslb.daemon.toml_lines import locate

DOCUMENT = '''\
# a = 0 is a comment
a = 1
b.c = """
d = 5 ""\\"
[x]"""
"e.f" = 'x # = [' # y = 3
g = [ # [z]
  1,
  [2, 3],

  { h = 4, i = [
    5 ] }, "]", 1979-05-27 07:32:00,
]

[t] # [u]
j = 1.5
"k\\u006c\\"" = {m.n = true}

[[v]]
o = 1
[[v]]
o = 2
[v.w]
p = 3
[ q . "r s" ]
u = \'\'\'
\'\'\'\'\'
v = 1
'''
LINES: dict[KeyPath, int] = {
    ("a",): 2,
    ("b", "c"): 3,
    ("e.f",): 6,
    ("g",): 7,
    ("g", 0): 8,
    ("g", 1): 9,
    ("g", 1, 1): 9,
    ("g", 2): 11,
    ("g", 2, "h"): 11,
    ("g", 2, "i", 0): 12,
    ("g", 3): 12,
    ("g", 4): 12,
    ("t",): 15,
    ("t", "j"): 16,
    ("t", 'kl"', "m", "n"): 17,
    ("v", 0, "o"): 20,
    ("v", 1, "o"): 22,
    ("v", 1, "w", "p"): 24,
    ("q", "r s"): 25,
    ("q", "r s", "u"): 26,
    ("q", "r s", "v"): 28,
}


def paths(value: object, path: KeyPath = ()) -> list[KeyPath]:
    """Every key and index of a document as tomllib reads it."""
    if isinstance(value, dict):
        below = [paths(inner, (*path, key)) for key, inner in value.items()]
    elif isinstance(value, list):
        below = [paths(inner, (*path, i)) for i, inner in enumerate(value)]
    else:
        below = []
    return [path, *(inner for several in below for inner in several)]


def test_lines() -> None:
    located = locate(DOCUMENT)
    assert {path: located.get(path) for path in LINES} == LINES
    assert set(paths(tomllib.loads(DOCUMENT))) - set(located) == {()}


def test_windows_line_ends() -> None:
    located = locate(DOCUMENT.replace("\n", "\r\n"))
    assert {path: located.get(path) for path in LINES} == LINES


KEYS = st.one_of(
    st.text("abcXYZ019_-", min_size=1, max_size=4),
    st.text(max_size=5)
    .filter(lambda s: s.isprintable())
    .map(lambda s: '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'),
)
SCALARS = st.sampled_from(
    [
        *(
            "1",
            "-1.5e3",
            "true",
            "inf",
            "0xff",
            "1979-05-27T07:32:00Z",
            "07:32:00",
            '""',
            "''",
            '"#["',
        ),
        *('"\\"=\\\\"', "'\\'", '"""a\n"b" = 1\n"""', "'''\n[x]\n'''", '"""\\\n  """', '""""""""'),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", # ]\n".join(items) + "\n]"),
        st.lists(st.tuples(KEYS, inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{k} = {v}" for k, v in pairs) + "}"
        ),
    ),
    max_leaves=6,
)
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(".".join)
STATEMENTS = st.one_of(
    st.tuples(DOTTED, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]} # = ["),
    DOTTED.map(lambda key: f"[{key}]"),
    DOTTED.map(lambda key: f"[[ {key} ]]"),
    st.sampled_from(["", "# [comment]", "\t"]),
)


@given(st.lists(STATEMENTS, max_size=8))
def test_every_key_has_the_line_of_its_statement(statements: list[str]) -> None:
    accepted: list[str] = []
    for statement in statements:
        # Only what TOML allows after the statements before it.
        try:
            tomllib.loads("\n".join([*accepted, statement]))
        except tomllib.TOMLDecodeError:
            continue
        accepted.append(statement)
    text = "\n".join(accepted)
    located = locate(text)
    known: set[KeyPath] = {()}
    above = 0
    for i, statement in enumerate(accepted):
        now = set(paths(tomllib.loads("\n".join(accepted[: i + 1]))))
        height = statement.count("\n") + 1
        for path in now - known:
            assert above < located[path] <= above + height, (text, path)
        known |= now
        above += height


@given(st.text("[]{}=\"'.,# \nab\\", max_size=60))
def test_anything_is_read_to_its_end(text: str) -> None:
    locate(text)


def test_hostile_text_takes_no_longer_than_its_length() -> None:
    for text in ('"' * 100_000, "a = " + '"""' + '"x' * 100_000, "'''" + "''x" * 100_000):
        locate(text)
