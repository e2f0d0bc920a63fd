"""What the pages in a browser show, without how: an edge fills these, adapters/http/browser.py draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from functions.core.claimed import Destination, mixes_letters, shown_name


@dataclass(frozen=True, slots=True)
class ShownClient:
    """A client, as a person has to judge it."""

    client_id: str
    claimed_name: str
    """As the client tells it; what a person sees is `name`."""
    destination: Destination
    """Where its answers go."""
    known: bool
    """Whether the deployment's owner named this client; the others name themselves."""

    @property
    def name(self) -> str:
        """Its name as a person may see it; "" where it has none."""
        return shown_name(self.claimed_name)

    @property
    def doubtful_name(self) -> bool:
        """Whether the name may pass for another's."""
        return not self.known and mixes_letters(self.claimed_name)


@dataclass(frozen=True, slots=True)
class Choice:
    """One capability that a person may allow."""

    capability: str
    """Its name, which the form sends back where it is switched on."""
    title: str
    text: str
    """What a person consents to, in the person's language, as all texts here."""
    scopes: Sequence[str]
    """What Google gives for it, in plain words; none: it needs nothing of the person's account."""
    chosen: bool
    """Whether its switch is on when the page opens."""


@dataclass(frozen=True, slots=True)
class ConsentView:
    """The question whether a client may use what, before Google is asked."""

    client: ShownClient
    first_time: bool | None
    """Whether the person has not connected this client before; None: who the person is, only Google will tell."""
    person: str | None
    """The e-mail address of the account; None: it is chosen at Google, next."""
    choices: Sequence[Choice]
    form_token: str
    action: str
    """The path that the form is sent to: `form_token`, `decision` (allow or deny), and `capability` for each switch that is on."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A capability that a client may use."""

    capability: str
    title: str
    text: str
    last_used: datetime | None
    """None: not yet."""


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """A client that is connected, and what it may use."""

    client: ShownClient
    since: datetime
    capabilities: Sequence[Granted]


Deed = Literal["sign_in", "remove_capability", "remove_client", "export", "disconnect_google", "delete"]
"""What a form of the account page asks for."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """What a person has allowed, to be taken back."""

    person: str | None
    """Who is signed in: the e-mail address, where Google has verified one, else the name, else ours; None: nobody is, and the page asks to."""
    clients: Sequence[ConnectedClient]
    google: bool
    """Whether there is an access to Google that can be given back."""
    form_token: str
    action: str
    """The path that every form is sent to: `form_token`, `do` (a Deed), where it is about one also `client` and `capability`; `sure`=yes
    to delete."""


@dataclass(frozen=True, slots=True)
class DeniedView:
    """A person said no. The client learns it only when the person goes back there."""

    client: ShownClient
    back: str
    """The redirect URI with what the client is told."""


@dataclass(frozen=True, slots=True)
class GoodbyeView:
    """Something was ended at a person's wish."""

    ended: Literal["google", "everything"]
    """The access to Google; or all that was kept of the person."""
    left_at_google: bool = False
    """Whether Google could not be told, so that the person has to end the access there."""


Problem = Literal["expired", "account", "client", "declined", "google", "sign_in", "not_found", "request", "often", "later", "ours"]
"""What went wrong, sorted by what a person can do: a step waited too long; another Google account was chosen; the client asks wrongly; the
person said no at Google; Google failed; nobody is signed in; no such page; a request that makes no sense; too many of them; a failure
that passes; a fault of ours."""


@dataclass(frozen=True, slots=True)
class ProblemView:
    """Why something cannot be shown or done, and what a person can do."""

    problem: Problem
    detail: str
    """For whoever looks after the client or the deployment, in English; "" where there is no more to say."""
    reference: str | None = None
    """What the owner finds in the log."""
    destination: Destination | None = None
    """Where the client that asks wrongly wanted to go back to, if that is its own."""


View = ConsentView | AccountView | DeniedView | GoodbyeView | ProblemView
