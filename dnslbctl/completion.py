"""Scripts that complete words in bash, zsh and fish, made from the table in `cli`.

What only the daemon knows (endpoints, names, held ids) the scripts ask for with a verb that is
in no help, `cli.COMPLETE`; it is silent when no daemon answers.
"""

from __future__ import annotations

from dnslbctl import cli

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Callable, Iterator

    from dnslbctl.client import Reply

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
# dnslbctl completion for bash: source <(dnslbctl completion bash)
_dnslbctl() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} verb= i words=
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
        {valued}) ((i++)) ;;
        -*) ;;
        *) verb=${{COMP_WORDS[i]}}; break ;;
        esac
    done
    case $before in
    --socket|--ca|--crt|--key) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --lb) words=$(dnslbctl {complete} names 2>/dev/null) ;;
    *)
        case $verb in
        "") words="{verbs} {options}" ;;
{cases}
        *) words="{options}" ;;
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    # Endpoints have colons, at which readline begins a new word.
    declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$word"
}}
complete -F _dnslbctl dnslbctl
"""

_ZSH = """\
#compdef dnslbctl
# dnslbctl completion for zsh: source <(dnslbctl completion zsh)
_dnslbctl() {{
    local -a words_ verbs
    local verb= i=2
    while ((i < CURRENT)); do
        case ${{words[i]}} in
        {valued}) ((i++)) ;;
        -*) ;;
        *) verb=${{words[i]}}; break ;;
        esac
        ((i++))
    done
    case ${{words[CURRENT-1]}} in
    --socket|--ca|--crt|--key) _files; return ;;
    --lb) words_=(${{(f)"$(dnslbctl {complete} names 2>/dev/null)"}}); compadd -a words_; return ;;
    esac
    case $verb in
    "")
        verbs=(
{described}
        )
        _describe verb verbs
        words_=({options}) ;;
{cases}
    *) words_=({options}) ;;
    esac
    compadd -a words_
}}
compdef _dnslbctl dnslbctl
"""

_FISH_HEAD = """\
# dnslbctl completion for fish: dnslbctl completion fish | source
complete -c dnslbctl -f
"""


def script(shell: str) -> str:
    """The script for one of `SHELLS`."""
    if shell == "fish":
        return _FISH_HEAD + "\n".join(_fish_lines())
    return (_BASH if shell == "bash" else _ZSH).format(
        complete=cli.COMPLETE,
        verbs=" ".join(verb.name for verb in cli.VERBS),
        options=" ".join(option.name for option in cli.OPTIONS),
        valued="|".join(option.name for option in cli.OPTIONS if option.value),
        cases="\n".join(_cases(shell)),
        described="\n".join(f"            '{v.name}:{_quoted(v.text)}'" for v in cli.VERBS),
    )


def _cases(shell: str) -> Iterator[str]:
    for verb in cli.VERBS:
        words = " ".join(option.name for option in verb.options)
        asked = _asked(verb)
        if shell == "bash":
            dynamic = f" $(dnslbctl {cli.COMPLETE} {asked} 2>/dev/null)" if asked else ""
            yield f'        {verb.name}) words="{words}{dynamic}" ;;'
        else:
            call = f'"$(dnslbctl {cli.COMPLETE} {asked} 2>/dev/null)"'
            dynamic = f" ${{(f){call}}}" if asked else ""
            yield f"    {verb.name}) words_=({words}{dynamic}) ;;"


def _fish_lines() -> Iterator[str]:
    names = " ".join(verb.name for verb in cli.VERBS)
    for option in cli.OPTIONS:
        value = " -r" if option.value else ""
        long = option.name.removeprefix("--")
        yield f"complete -c dnslbctl -l {long}{value} -d '{_quoted(option.text)}'"
    for verb in cli.VERBS:
        free = f"not __fish_seen_subcommand_from {names}"
        yield f"complete -c dnslbctl -n '{free}' -a {verb.name} -d '{_quoted(verb.text)}'"
        seen = f"__fish_seen_subcommand_from {verb.name}"
        if asked := _asked(verb):
            words = f"(dnslbctl {cli.COMPLETE} {asked} 2>/dev/null)"
            yield f"complete -c dnslbctl -n '{seen}' -a '{words}'"
        for option in verb.options:
            long = option.name.lstrip("-")
            kind = "-l" if option.name.startswith("--") else "-s"
            value = " -r" if option.value else ""
            text = _quoted(option.text)
            yield f"complete -c dnslbctl -n '{seen}' {kind} {long}{value} -d '{text}'"


def _asked(verb: cli.Verb) -> str:
    return "raft" if verb.name == "raft" else verb.completes


def _quoted(text: str) -> str:
    return text.replace("'", "").replace(":", " -")


def words(kinds: list[str], get: Callable[[str], Reply]) -> list[str]:
    """Words of one kind that the daemon, or nobody but we, know."""
    kind = kinds[0] if kinds else ""
    if kind == "shells":
        return [*SHELLS]
    if kind == "raft":
        from dnslbctl.raftwords import COMMANDS  # noqa: PLC0415 - rare

        return [*COMMANDS]
    if kind == "endpoints":
        found = {str(endpoint["endpoint"]) for endpoint in get("/endpoints").value}
    elif kind == "names":
        found = {str(endpoint["lb"]) for endpoint in get("/endpoints").value}
    elif kind == "overridden":
        found = {str(order["endpoint"]) for order in get("/overrides").value if order["endpoint"]}
    elif kind == "held":
        found = {str(c["id"]) for c in get("/changes").value if c["state"] == "held"}
    elif kind == "released":
        found = {str(name) for name in get("/status").value["released"]}
    else:
        found = set()
    # What a shell would read as more than a word is not offered.
    return sorted(word for word in found if word and not set(word) & set(" \t\n$`\\\"'();|&<>"))
