"""What all services stand on: the settings, the process, the store, and what goes out."""

import random
import secrets
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from functions.adapters.http.life import Life
from functions.core.capability import Catalogue
from functions.core.documents import Documents, Key
from functions.core.settings import Settings

if TYPE_CHECKING:
    from functions.adapters.google_signed import GoogleSigned
    from functions.adapters.outgoing import Outgoing
    from functions.core.records import Records


class Foundation:
    """Each is chosen, and its module loaded, when it is first named: an edge that keeps no conversations loads no store."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self.catalogue = catalogue
        """The capabilities of this deployment."""
        self.life = Life()
        """What the services need of the process: each adds its own when it is chosen."""

    @cached_property
    def _records(self) -> "Records":
        from functions.core.records import Records

        return Records(self.documents, below=lambda most: random.uniform(0, most))

    @cached_property
    def documents(self) -> Documents:
        """The store."""
        documents = self._documents()
        self.life.opens("the store", lambda deadline: documents.get([Key("conversations", "ready")], deadline))
        return documents

    def _documents(self) -> Documents:
        kind, _, path = self._settings.store_url.partition(":")
        if kind == "sqlite":
            from functions.adapters.sqlite import SqliteDocuments

            return SqliteDocuments(Path(path))
        from functions.adapters.firestore import FirestoreDocuments

        emulator, database = self._settings.firestore_emulator_host, self._settings.firestore_database
        return FirestoreDocuments(self._settings.google_cloud_project, database, emulator_host=emulator)

    @cached_property
    def _outgoing(self) -> "Outgoing":
        from functions.adapters.outgoing import Outgoing

        return Outgoing()

    @cached_property
    def _google_signed(self) -> "GoogleSigned":
        from functions.adapters.google_keys import GoogleKeys
        from functions.adapters.google_signed import GoogleSigned

        return GoogleSigned(GoogleKeys(self._outgoing, self._settings.google_certs_url))


def new_secret() -> str:
    """128 random bits, URL-safe, 22 characters: session tokens, turn ids."""
    return secrets.token_urlsafe(16)
