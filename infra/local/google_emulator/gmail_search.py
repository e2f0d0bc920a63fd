"""Gmail's search box, as far as our mails and capabilities need it: https://support.google.com/mail/answer/7190

Words, "phrases", -negation, OR and {alternatives}, and the operators of `OPERATORS`. Google takes an operator that it does not know for
a word; here it is refused, so that a misspelt search fails where somebody sees it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from infra.local.google_emulator.gmail_messages import parsed, text
from infra.local.google_emulator.sample_mail import LABELS, Mail


@dataclass(frozen=True)
class Searched:
    """A mail with what a search looks at, in lower case."""

    mail: Mail
    headers: dict[str, str]
    text: str
    filenames: str

    @classmethod
    def of(cls, mail: Mail) -> "Searched":
        """The mail, read."""
        root = parsed(mail.raw)
        headers = {name.lower(): value.casefold() for name, value in root.headers}
        return cls(mail, headers, text(root).casefold(), " ".join(part.filename for part in root.walk()).casefold())

    def has(self, *names: str, word: str) -> bool:
        """Whether one of these headers has the word."""
        return any(word in self.headers.get(name, "") for name in names)

    def labelled(self, label: str) -> bool:
        """Whether it has the label, by Gmail's id or by the name that a person gave it."""
        names = {LABELS.get(one, one).casefold().replace(" ", "-") for one in self.mail.labels} | {
            one.casefold() for one in self.mail.labels
        }
        return label in names


Test = Callable[[Searched], bool]


def matcher(query: str, now: datetime) -> Test:
    """What a query asks of a mail.

    Raises:
        ValueError: an operator is unknown, or what it is given makes no sense.
    """
    alternatives: list[list[Test]] = []
    glued = False
    for token in re.findall(r'-?\{[^}]*\}|-?(?:\w+:)?"[^"]*"|\S+', query):
        if token in ("OR", "|") and alternatives:
            glued = True
            continue
        test = _term(token, now)
        if glued:
            alternatives[-1].append(test)
        else:
            alternatives.append([test])
        glued = False
    return lambda mail: all(any(test(mail) for test in tests) for tests in alternatives)


def names_place(query: str) -> bool:
    """Whether a query says itself where to look, so that spam and trash are not left out."""
    return bool(re.search(r"\b(in:(anywhere|spam|trash)|label:(spam|trash))\b", query, re.I))


def _term(token: str, now: datetime) -> Test:
    if token.startswith("-") and len(token) > 1:
        inner = _term(token[1:], now)
        return lambda mail: not inner(mail)
    if token.startswith("{"):
        tests = [_term(one, now) for one in token.strip("{}").split()]
        return lambda mail: any(test(mail) for test in tests)
    name, colon, rest = token.partition(":")
    if colon and re.fullmatch(r"[a-z]\w*", name, re.I | re.A) and not rest.startswith("//"):
        if name.lower() not in OPERATORS:
            raise ValueError(f"no operator is called {name!r}; there are {', '.join(OPERATORS)}")
        return OPERATORS[name.lower()](rest.strip('"()').casefold(), now)
    word = token.strip('"()').casefold()
    return lambda mail: word in mail.text or mail.has("subject", "from", "to", "cc", word=word)


def _header(*names: str) -> Callable[[str, datetime], Test]:
    return lambda word, now: lambda mail: mail.has(*names, word=word)


def _is(word: str, now: datetime) -> Test:
    known: dict[str, Test] = {
        "unread": lambda mail: "UNREAD" in mail.mail.labels,
        "read": lambda mail: "UNREAD" not in mail.mail.labels,
        "starred": lambda mail: "STARRED" in mail.mail.labels,
        "important": lambda mail: "IMPORTANT" in mail.mail.labels,
    }
    return _known(known, word)


def _has(word: str, now: datetime) -> Test:
    return _known({"attachment": lambda mail: bool(mail.filenames.strip()), "userlabels": lambda mail: mail.labelled("label_1")}, word)


def _in(word: str, now: datetime) -> Test:
    return (lambda mail: True) if word == "anywhere" else lambda mail: mail.labelled({"drafts": "draft"}.get(word, word))


def _known(tests: dict[str, Test], word: str) -> Test:
    if word not in tests:
        raise ValueError(f"{word!r} is none of {', '.join(tests)}")
    return tests[word]


def _before(word: str, now: datetime) -> Test:
    limit = _date(word, now)
    return lambda mail: mail.mail.received < limit


def _after(word: str, now: datetime) -> Test:
    limit = _date(word, now)
    return lambda mail: mail.mail.received >= limit


def _date(word: str, now: datetime) -> datetime:
    """2026/11/26 at midnight where the person is, or seconds since 1970."""
    if re.fullmatch(r"\d{9,10}", word):
        return datetime.fromtimestamp(int(word), now.tzinfo)
    return datetime.strptime(word.replace("-", "/"), "%Y/%m/%d").replace(tzinfo=now.tzinfo)


def _older(word: str, now: datetime) -> Test:
    limit = now - _age(word)
    return lambda mail: mail.mail.received < limit


def _newer(word: str, now: datetime) -> Test:
    limit = now - _age(word)
    return lambda mail: mail.mail.received >= limit


def _age(word: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([dmy])", word)
    if not found:
        raise ValueError(f"{word!r} is no age; write 2d, 3m or 1y")
    return timedelta(days=int(found[1]) * {"d": 1, "m": 30, "y": 365}[found[2]])


OPERATORS: dict[str, Callable[[str, datetime], Test]] = {
    "from": _header("from"),
    "to": _header("to"),
    "cc": _header("cc"),
    "subject": _header("subject"),
    "rfc822msgid": _header("message-id"),
    "list": _header("list-id"),
    "filename": lambda word, now: lambda mail: word in mail.filenames,
    "label": lambda word, now: lambda mail: mail.labelled(word),
    "in": _in,
    "is": _is,
    "has": _has,
    "before": _before,
    "older": _before,
    "after": _after,
    "newer": _after,
    "older_than": _older,
    "newer_than": _newer,
}


def found(mails: Sequence[Mail], query: str, now: datetime) -> list[Mail]:
    """The mails that a query finds, in their order.

    Raises:
        ValueError: the query makes no sense here.
    """
    wanted = matcher(query, now)
    return [mail for mail in mails if wanted(Searched.of(mail))]
