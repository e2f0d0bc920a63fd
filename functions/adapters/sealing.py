"""Sealing with AES-256-GCM and a ring of keys: the first seals, all open."""

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from functions.core.sealing import Unsealable
from functions.core.settings import InvalidSettings

FORM = "v1"
"""In front of everything that is sealed, so that another form can be told from it."""

NONCE_BYTES = 12
"""Random. One key may seal 2^32 texts that way (NIST SP 800-38D §8.3): a thousand a second for 50 days. Ours seal a few for each sign-in."""

KEY_BYTES = 32

_KEY = re.compile(r"([A-Za-z0-9_-]{1,32}):([A-Za-z0-9_-]{43})")


class AesGcmRing:
    """`Sealer` (core/sealing.py), with the keys of SEALING_KEYS: `id:key,id:key`, each key 32 random bytes in base64url."""

    def __init__(self, keys: str) -> None:
        """Raises InvalidSettings where they are none."""
        ring = _read(keys)
        self._first = next(iter(ring))
        self._ciphers = {kid: AESGCM(key) for kid, key in ring.items()}
        self._successions = [_derived(key, b"cantilever: successor of a refresh token") for key in ring.values()]

    def seal(self, plain: str, *, user: str, purpose: str) -> str:
        """`Sealer.seal`: the form, the key's id, and the nonce with what it encrypts; all three are authenticated."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, plain.encode(), _associated(FORM, self._first, user, purpose))
        return f"{FORM}.{self._first}.{_spelled(nonce + sealed)}"

    def open(self, sealed: str, *, user: str, purpose: str) -> str:
        """`Sealer.open`."""
        form, _, rest = sealed.partition(".")
        kid, _, text = rest.partition(".")
        cipher = self._ciphers.get(kid)
        if cipher is None:
            raise Unsealable("What was sealed cannot be opened: SEALING_KEYS does not hold its key, or it was changed.")
        try:
            octets = _octets(text)
            return cipher.decrypt(octets[:NONCE_BYTES], octets[NONCE_BYTES:], _associated(form, kid, user, purpose)).decode()
        except (InvalidTag, ValueError):  # Not chained: nothing in them helps, and they are of the text.
            raise Unsealable("What was sealed cannot be opened: it was changed, or sealed for something else.") from None

    def stale(self, sealed: str) -> bool:
        """`Sealer.stale`."""
        return not sealed.startswith(f"{FORM}.{self._first}.")

    def successors(self, token: str) -> Sequence[str]:
        """`Successors` (core/oauth/tokens.py): the refresh tokens that may follow this one, the first key's first."""
        family = token.partition(".")[0]
        return [f"{family}.{_spelled(hmac.digest(key, token.encode(), hashlib.sha256))}" for key in self._successions]


def new_key(kid: str) -> str:
    """A fresh key, as SEALING_KEYS has it."""
    return f"{kid}:{_spelled(os.urandom(KEY_BYTES))}"


def _read(keys: str) -> Mapping[str, bytes]:
    """The keys by their ids, in their order."""
    found = [_KEY.fullmatch(key.strip()) for key in keys.split(",")]
    ring = {key[1]: urlsafe_b64decode(key[2] + "=") for key in found if key}
    if len(ring) != len(found) or len(set(ring.values())) != len(ring):
        raise InvalidSettings(
            "The configuration is wrong:\n  - SEALING_KEYS: must be id:key,id:key as python -m infra.keys writes them, each id and each key once"
        )
    return ring


def _derived(key: bytes, purpose: bytes) -> bytes:
    """A key of its own for another algorithm: one key is used with one algorithm (NIST SP 800-57 part 1 §5.2)."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(key)


def _associated(*parts: str) -> bytes:
    """The associated data. Each part's length goes before it, so that no two lists of parts are spelled alike."""
    return b"".join(len(octets).to_bytes(4, "big") + octets for octets in (part.encode() for part in parts))


def _spelled(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _octets(text: str) -> bytes:
    """What `_spelled` spelled. Base64's last sign may have bits that nobody reads, and Python passes over signs that are none of base64's:
    what is spelled in another way is refused, so that a sealed text has one spelling.
    """
    octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _spelled(octets) != text:
        raise ValueError("not base64url as we write it")
    return octets
