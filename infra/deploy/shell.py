"""Lines for a shell: gcloud's commands, quoted, with the project named; values may hold shell variables."""

import re
import textwrap

WIDTH = 120
"""Characters of a line in the README, where a word allows it."""


def gcloud(command: str, *arguments: str) -> str:
    """A line for a shell, with the project named."""
    return " ".join(["gcloud", command, *map(quoted, arguments), quoted("--project=$PROJECT")])


def quoted(argument: str) -> str:
    """An argument that the shell leaves whole, its variables filled in."""
    if re.fullmatch(r"[\w./:=,@-]+", argument):
        return argument
    flag, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return f"{flag}{equals}'{value}'" if '"' in value else f'{flag}{equals}"{value}"'


def folded(line: str) -> str:
    """A long line as several that the shell joins again."""
    if "\n" in line:
        return line
    # Never inside quotes, where the shell would keep what is put in.
    whole = re.sub(r"\"[^\"]*\"|'[^']*'", lambda quoted: quoted[0].replace(" ", "\0"), line)
    return " \\\n    ".join(textwrap.wrap(whole, WIDTH, break_long_words=False, break_on_hyphens=False)).replace("\0", " ")
