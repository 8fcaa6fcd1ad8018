"""Random zone files in many hands' styles, with records of ours among others'.

The files are valid by construction; what they mean is for dnspython to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

ZONE = "example.org"
OURS = ("www", "api", "new", "deep.sub", "@")
THEIRS = ("mail", "ftp", "www2", "a.sub", "_dmarc", "*.wild", "ns1")
ADDRESSES = {
    "A": tuple(f"192.0.2.{n}" for n in range(1, 6)),
    "AAAA": ("2001:db8::1", "2001:db8::2", "2001:db8::ffff"),
}
_WRITTEN = {
    "2001:db8::1": ("2001:db8::1", "2001:DB8:0::0001"),
    "2001:db8::ffff": ("2001:DB8::FFFF",),
}
FOREIGN_DATA = (
    'TXT "plain"',
    'TXT "semi;colon" "and (paren" "quote\\" inside"',
    'TXT ( "on"\n   "two" ; with a comment (\n   "lines" )',
    "MX 10 mail",
    "MX ( 20 ; comment )\n  mail.example.net. )",
    'CAA 0 issue "ca.example.net; x=1"',
    "SRV 0 5 80 www",
    "TYPE65280 \\# 4 0a000001",
)
GAPS = ("\n", "; a comment\n", "   \n", '\t; indented ( " comment\n', ";\n\n;;\n")
SPACES = (" ", "\t", "   ", " \t ")


@dataclass(frozen=True)
class Style:
    """``default_ttl``: the line that opens the file, or nothing."""

    newline: str
    default_ttl: str
    soa_ttl: str
    ends_with_newline: bool


styles = st.builds(
    Style,
    newline=st.sampled_from(("\n", "\n", "\r\n")),
    default_ttl=st.sampled_from(("$TTL 300\n", "$ttl 1h ; one hour\n", "")),
    soa_ttl=st.sampled_from(("", "7200 ")),
    ends_with_newline=st.booleans(),
)


@st.composite
def records(draw: st.DrawFn, owner: str, data: str, *, may_inherit: bool) -> str:
    """One record of ``owner``; of two ways to write its name and three to write its TTL."""
    space = draw(st.sampled_from(SPACES))
    inherits = may_inherit and draw(st.booleans())
    ttl = draw(st.sampled_from(("", "60 ", "60 ", "5m ")))
    order = draw(st.sampled_from(("{ttl}IN ", "IN {ttl}", "{ttl}", "{ttl}in ")))
    comment = draw(st.sampled_from(("", "", " ; why", "\t;")))
    name = "" if inherits else owner
    return f"{name}{space}{order.format(ttl=ttl)}{data}{comment}\n"


@st.composite
def blocks(draw: st.DrawFn) -> str:
    """Records of one owner in a row, gaps among them."""
    owner = draw(st.sampled_from(OURS + OURS + THEIRS))
    rows = draw(st.lists(st.sampled_from(("A", "AAAA", "other", "other")), min_size=2, max_size=5))
    text = ""
    for row in rows:
        if row == "other":
            data = draw(st.sampled_from(FOREIGN_DATA))
        else:
            address = draw(st.sampled_from(ADDRESSES[row]))
            data = f"{row} {draw(st.sampled_from(_WRITTEN.get(address, (address,))))}"
        text += draw(records(owner, data, may_inherit=bool(text)))
        text += draw(st.sampled_from(("", "", "", *GAPS)))
    return text


@st.composite
def zone_texts(draw: st.DrawFn) -> str:
    style = draw(styles)
    serial = draw(st.sampled_from(("1", "2025010199", "4294967295", "1767225600")))
    text = style.default_ttl + draw(st.sampled_from(("", "$ORIGIN example.org.\n", "; header\n")))
    text += f"@ {style.soa_ttl}IN SOA ns1 hostmaster ( {serial} ; serial ( \n 3600 900 1w 300 )\n"
    text += "  NS ns1\n"
    for block in draw(st.lists(blocks(), min_size=1, max_size=5)):
        text += block
        text += draw(
            st.sampled_from(
                (
                    "",
                    "",
                    "",
                    "$ORIGIN sub.example.org.\n",
                    "$ORIGIN example.org.\n",
                    "$TTL 900\n",
                    "$GENERATE 1-3 gen$ A 10.0.0.$\n",
                )
            )
        )
        if text.endswith("10.0.0.$\n"):
            text += "fresh 60 TXT generated\n"
    if not style.ends_with_newline:
        text = text.removesuffix("\n")
    return text.replace("\n", style.newline)
