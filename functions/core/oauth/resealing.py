"""Sealing anew what an older key sealed, so that the key can be taken out of the ring."""

from contextlib import suppress
from dataclasses import dataclass

from functions.core.deadline import Deadline
from functions.core.documents import Conflict, Document, Documents, Put
from functions.core.oauth.records import ALL_GRANTS, GOOGLE_GRANTS, GoogleGrant
from functions.core.oauth.signin import REFRESH_PURPOSE
from functions.core.sealing import Sealer, Unsealable

AT_ONCE = 50


@dataclass(slots=True)
class Resealed:
    """What came of it."""

    renewed: int = 0
    lost: int = 0
    """Those whose key is gone: their users connect again when they come."""


async def reseal(documents: Documents, sealer: Sealer, deadline: Deadline) -> Resealed:
    """Seal every grant anew that the first key of the ring did not seal. It may be repeated, and users may sign in meanwhile.

    Raises:
        StoreUnavailable, DeadlinePassed: it is to be repeated.
    """
    done, after = Resealed(), ""
    while page := await documents.list(GOOGLE_GRANTS, ALL_GRANTS, after=after, limit=AT_ONCE, deadline=deadline):
        for document in page:
            await _renew(documents, sealer, document, done, deadline)
        after = page[-1].place.position if page[-1].place else ""
    return done


async def _renew(documents: Documents, sealer: Sealer, document: Document, done: Resealed, deadline: Deadline) -> None:
    grant = GoogleGrant.model_validate_json(document.body)
    if grant.refresh_token is None or not sealer.stale(grant.refresh_token):
        return
    try:
        plain = sealer.open(grant.refresh_token, user=grant.user, purpose=REFRESH_PURPOSE)
    except Unsealable:
        done.lost += 1
        return
    sealed = sealer.seal(plain, user=grant.user, purpose=REFRESH_PURPOSE)
    with suppress(Conflict):  # It was written meanwhile, with the first key.
        body = grant.model_copy(update={"refresh_token": sealed}).model_dump_json()
        await documents.commit([Put(document.key, body, document.version, document.place)], deadline)
        done.renewed += 1
