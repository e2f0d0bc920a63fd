"""Access tokens as JWTs, signed with ES256 (RFC 7518 §3.4): a quarter of RS256's size, and whoever verifies holds no secret."""

from base64 import b64decode
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Annotated, Literal

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import ConfigDict, Field

from functions.core import strict_json
from functions.core.access_token import AccessClaims
from functions.core.errors import ChangeRequest, Unauthenticated
from functions.core.settings import InvalidSettings
from functions.core.shape import Shape

ALGORITHM = "ES256"

MAX_TOKEN = 8 * 1024
"""Characters. Ours have about 500; what is longer is not even taken apart (reliability.md B22)."""

LEEWAY_SECONDS = 60.0
"""By how much the clocks of two instances may differ."""

SEEN = 1000
"""Tokens whose signature is known: to verify one takes ten times as long as all the rest (performance.md P7), and a client shows the same
one for an hour. 2 MB at most: ours alone are kept, so that no flood of others drives them out."""

_Number = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]  # 32 octets in base64url: RFC 7518 §6.2


class _Header(Shape):
    """What ours say, and nothing besides: a token does not choose how it is verified, nor by a key from where (RFC 8725 §3.1, §3.10)."""

    model_config = ConfigDict(extra="forbid")

    alg: Literal["ES256"]
    typ: Literal["at+jwt"]  # RFC 9068 §2.1: so that no other JWT of ours is ever taken for one
    kid: str


class _NotBefore(Shape):
    nbf: int = 0


class _Jwk(Shape):
    """A key as `python -m infra.keys` writes it (RFC 7517)."""

    model_config = ConfigDict(extra="forbid")

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: _Number
    y: _Number
    d: _Number | None = Field(None, repr=False)
    """The private half."""
    kid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    alg: Literal["ES256"]
    use: Literal["sig"]


class _Jwks(Shape):
    model_config = ConfigDict(extra="forbid")

    keys: Annotated[tuple[_Jwk, ...], Field(min_length=1)]


class Es256Signer:
    """`Signer` with the first key of a private JSON Web Key Set."""

    def __init__(self, private_jwks: str) -> None:
        """Raises InvalidSettings where it is none."""
        self._kid, self._key = next(iter(_keys(_private(private_jwks), "TOKEN_SIGNING_KEYS").items()))

    def sign(self, claims: AccessClaims) -> str:
        """`Signer.sign`."""
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": self._kid}
        return jws.serialize_compact(header, claims.model_dump_json().encode(), self._key, algorithms=[ALGORITHM])


class Es256Verifier:
    """`Verifier` with a public JSON Web Key Set, for tokens of one issuer. A key that is not in the set is not looked for anywhere."""

    def __init__(self, jwks: str, issuer: str) -> None:
        """Raises InvalidSettings where it is none, or holds what signs: this set is shown to everybody."""
        found = _read(jwks, "TOKEN_PUBLIC_KEYS")
        if any(key.d for key in found.keys):
            raise _wrong("TOKEN_PUBLIC_KEYS", "must hold the public halves alone, without d; if this was deployed, make new keys")
        self._keys = _keys(found, "TOKEN_PUBLIC_KEYS")
        self._issuer = issuer
        self._signed = lru_cache(SEEN)(self._newly_signed)  # What raises is not kept.

    def verify(self, token: str, audiences: Collection[str], now: float) -> AccessClaims:
        """`Verifier.verify`."""
        if len(token) > MAX_TOKEN:
            raise _not_ours()
        claims, not_before = self._signed(token)
        if claims.iss != self._issuer or claims.aud not in audiences:
            raise Unauthenticated("The access token is for another service; connect this one.")
        if claims.exp + LEEWAY_SECONDS <= now:
            raise Unauthenticated("The access token has expired; refresh it, or connect again.")
        if max(claims.iat, not_before) - LEEWAY_SECONDS > now:
            raise Unauthenticated("The access token is of the future; set the clock right.")
        return claims

    def _newly_signed(self, token: str) -> tuple[AccessClaims, int]:
        """What a token says that one of our keys signed; whether of now and for us is still open."""
        try:
            key = self._keys.get(_kid(token))
            if key is None:
                raise _not_ours()
            said = strict_json.loads(jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload or b"")
            return strict_json.model_of(AccessClaims, said), strict_json.model_of(_NotBefore, said).nbf
        except (JoseError, ValueError, ChangeRequest):  # Not chained: what they say comes from the token.
            raise _not_ours() from None


def new_jwks(kid: str) -> str:
    """A private JSON Web Key Set with one fresh key."""
    fresh = ECKey.generate_key("P-256", {"kid": kid, "alg": ALGORITHM, "use": "sig"}, private=True).as_dict(private=True)
    return _Jwks.model_validate({"keys": [fresh]}).model_dump_json()


def public_jwks(private_jwks: str) -> str:
    """The public halves of a private set: what /oauth/jwks shows and other functions verify with.

    Raises:
        InvalidSettings: it is none.
    """
    return _private(private_jwks).model_dump_json(exclude={"keys": {"__all__": {"d"}}})


def _private(jwks: str) -> _Jwks:
    found = _read(jwks, "TOKEN_SIGNING_KEYS")
    if not all(key.d for key in found.keys):
        raise _wrong("TOKEN_SIGNING_KEYS", "must hold private keys")
    return found


def _read(jwks: str, variable: str) -> _Jwks:
    try:
        found = strict_json.read(_Jwks, jwks)
    except ChangeRequest:  # Not chained: it is of a secret.
        raise _wrong(variable, "must be a JSON Web Key Set as python -m infra.keys writes it") from None
    if len({key.kid for key in found.keys}) != len(found.keys):
        raise _wrong(variable, "every key must have a kid of its own")
    return found


def _keys(jwks: _Jwks, variable: str) -> Mapping[str, ECKey]:
    """The keys by their names, in the order of the set."""
    try:
        return {key.kid: ECKey.import_key(key.model_dump(exclude_none=True)) for key in jwks.keys}
    except (JoseError, ValueError):  # Not chained, as above.
        raise _wrong(variable, "holds numbers that are no key of P-256") from None


def _kid(token: str) -> str:
    """The name of the key, once the header says nothing that we refuse."""
    encoded = token.partition(".")[0]
    return strict_json.read(_Header, b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)).kid


def _not_ours() -> Unauthenticated:
    return Unauthenticated("The access token is not one of ours; connect again.")


def _wrong(variable: str, fault: str) -> InvalidSettings:
    return InvalidSettings(f"The configuration is wrong:\n  - {variable}: {fault}")
