"""A sealing key can be taken out of the ring once everything is sealed anew, and nobody has to connect again for it."""

from datetime import UTC, datetime
from pathlib import Path

from functions.adapters.sealing import AesGcmRing, new_key
from functions.adapters.sqlite import SqliteDocuments
from functions.core.documents import ABSENT, Put
from functions.core.oauth.records import GoogleGrant, google_grant_key, google_grant_place
from functions.core.oauth.resealing import reseal
from functions.core.oauth.signin import REFRESH_PURPOSE
from tests.deadlines import soon

OLD, NEW, GONE = new_key("k1"), new_key("k2"), new_key("k0")


async def test_every_grant_is_sealed_with_the_first_key(tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "grants.db")
    for number in range(120):
        user, ring = f"u-{number}", AesGcmRing(GONE if number == 7 else OLD)
        sealed = None if number == 8 else ring.seal(f"token {number}", user=user, purpose=REFRESH_PURPOSE)
        grant = GoogleGrant(user=user, email="", scopes=(), refresh_token=sealed, since=datetime.now(UTC))
        await documents.commit([Put(google_grant_key(user), grant.model_dump_json(), ABSENT, google_grant_place(user))], soon())

    first = await reseal(documents, AesGcmRing(f"{NEW},{OLD}"), soon(30))
    again = await reseal(documents, AesGcmRing(f"{NEW},{OLD}"), soon(30))

    assert (first.renewed, first.lost) == (118, 1)
    assert (again.renewed, again.lost) == (0, 1)
    only_new = AesGcmRing(NEW)
    for number in (0, 50, 119):
        user = f"u-{number}"
        document = (await documents.get([google_grant_key(user)], soon())).documents[google_grant_key(user)]
        sealed = GoogleGrant.model_validate_json(document.body).refresh_token or ""
        assert only_new.open(sealed, user=user, purpose=REFRESH_PURPOSE) == f"token {number}"
        assert document.place == google_grant_place(user)
    await documents.close()
