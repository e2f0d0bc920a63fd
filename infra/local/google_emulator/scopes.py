"""The scopes that the emulated Google can grant, with Google's own words for them.

The words are the discovery documents' (calendar.v3, docs.v1, gmail.v1, oauth2.v2), and the tests compare them.
"""

OPENID = "openid"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"
PROFILE = "https://www.googleapis.com/auth/userinfo.profile"

SHORT_NAMES = {"email": EMAIL, "profile": PROFILE}
"""What OpenID Connect calls two of Google's scopes. Google takes both names and answers with the long one."""

SIGN_IN = frozenset({OPENID, EMAIL, PROFILE})
"""Granted with the sign-in itself: Google shows no tick box for them."""

AUTH = "https://www.googleapis.com/auth/"

SCOPES = {
    OPENID: "Associate you with your personal info on Google",
    EMAIL: "See your primary Google Account email address",
    PROFILE: "See your personal info, including any personal info you've made publicly available",
    f"{AUTH}calendar": "See, edit, share, and permanently delete all the calendars you can access using Google Calendar",
    f"{AUTH}calendar.readonly": "See and download any calendar you can access using your Google Calendar",
    f"{AUTH}calendar.calendarlist": "See, add, and remove Google calendars you’re subscribed to",
    f"{AUTH}calendar.calendarlist.readonly": "See the list of Google calendars you’re subscribed to",
    f"{AUTH}calendar.events": "View and edit events on all your calendars",
    f"{AUTH}calendar.events.readonly": "View events on all your calendars",
    f"{AUTH}calendar.events.freebusy": "See the availability on Google calendars you have access to",
    f"{AUTH}calendar.freebusy": "View your availability in your calendars",
    f"{AUTH}documents": "See, edit, create, and delete all your Google Docs documents",
    f"{AUTH}documents.readonly": "See all your Google Docs documents",
    f"{AUTH}drive": "See, edit, create, and delete all of your Google Drive files",
    f"{AUTH}drive.readonly": "See and download all your Google Drive files",
    "https://mail.google.com/": "Read, compose, send, and permanently delete all your email from Gmail",
    f"{AUTH}gmail.labels": "See and edit your email labels",
    f"{AUTH}gmail.modify": "Read, compose, and send emails from your Gmail account",
    f"{AUTH}gmail.readonly": "View your email messages and settings",
}


def read(text: str) -> tuple[str, ...]:
    """The scopes of a request by their long names, each once, in their order; to the e-mail address belongs `openid`.

    Google adds it unasked, and clients that compare what they asked for with what they got stumble over it.
    """
    asked = [SHORT_NAMES.get(name, name) for name in text.split()]
    if {EMAIL, PROFILE} & set(asked):
        asked.append(OPENID)
    return tuple(dict.fromkeys(asked))
