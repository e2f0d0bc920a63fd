"""What a person sees of the emulated Google: the choice of an account, the consent, and what is wrong with a request."""

from collections.abc import Collection, Iterable
from html import escape

from infra.local.google_emulator.people import Person
from infra.local.google_emulator.scopes import SCOPES, SIGN_IN

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { display: grid; place-content: start center; margin: 0; padding: 2rem 1rem }
main { width: min(28rem, 100%); border: 1px solid #8886; border-radius: 1rem; padding: 1.5rem 2rem; box-sizing: border-box }
h1 { font-size: 1.4rem; line-height: 1.3; overflow-wrap: anywhere }
.emulated { background: #fbbc0433; border-radius: .5rem; padding: .5rem .75rem; font-size: .875rem }
ul { list-style: none; padding: 0 }
li { border-top: 1px solid #8884 }
li a, li label, li p { display: flex; gap: .75rem; padding: .75rem 0; margin: 0; color: inherit; text-decoration: none }
li a:hover { background: #8882 }
small, .scope { display: block; opacity: .75; overflow-wrap: anywhere }
footer { display: flex; justify-content: end; gap: .75rem; margin-top: 1.5rem }
button { font: inherit; padding: .5rem 1.25rem; border-radius: 2rem; border: 1px solid #8886; background: none; color: inherit; cursor: pointer }
button[value=allow] { background: #1a73e8; border-color: #1a73e8; color: #fff }
"""


def account_chooser(client: str, accounts: Iterable[tuple[Person, str]]) -> str:
    """The people, each with the link that chooses them."""
    entries = "".join(
        f'<li><a href="{escape(link)}"><span>{escape(person.name)}<small>{escape(person.email)}</small></span></a></li>'
        for person, link in accounts
    )
    return _page("Choose an account", f"<p>to continue to <b>{escape(client)}</b></p><ul>{entries}</ul>")


def consent(
    client: str, person: Person, asked: Iterable[str], granted: Collection[str], request: Iterable[tuple[str, str]], other: str
) -> str:
    """A tick box for each scope that can be granted singly and is not yet; `request` goes along with the answer, `other` leads back."""
    hidden = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in request)
    body = (
        f'<p>as {escape(person.email)} · <a href="{escape(other)}">another account</a></p>'
        f'<form method="post" action="/signin/oauth/consent">{hidden}<ul>{"".join(_scope(scope, granted) for scope in asked)}</ul>'
        '<footer><button name="answer" value="deny">Cancel</button><button name="answer" value="allow">Continue</button></footer></form>'
    )
    return _page(f"{client} wants access to your Google Account", body)


def _scope(scope: str, granted: Collection[str]) -> str:
    words = f'<span>{escape(SCOPES[scope])}<small class="scope">{escape(scope)}</small></span>'
    if scope in SIGN_IN or scope in granted:
        return f"<li><p>✓ {words}</p></li>"
    return f'<li><label><input type="checkbox" name="allowed" value="{escape(scope)}" checked>{words}</label></li>'


def blocked(status: int, error: str, detail: str) -> str:
    """What Google shows in place of redirecting to an address that it does not trust."""
    return _page("Access blocked: this app’s request is invalid", f"<p>{escape(detail)}</p><p>Error {status}: {escape(error)}</p>")


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><main>"
        f'<p class="emulated">This is not Google. It is an emulator on your own machine, with invented people.</p>'
        f"<h1>{escape(title)}</h1>{body}</main></html>"
    )
