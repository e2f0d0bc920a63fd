"""The capabilities of a deployment where nobody can sign in, which most tests are about."""

from functions.capabilities import CATALOGUE as EVERYTHING

CATALOGUE = EVERYTHING.enabled((), sign_in=False)
