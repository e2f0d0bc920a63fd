"""Access tokens that nobody may get in with: forged, strange, of another kind, out of time. A forge that holds our signing key makes each
of them so that one fault alone is left to find."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from functions.adapters.access_tokens import Es256Signer, public_jwks
from functions.core.access_token import AccessClaims

STRANGERS = ECKey.generate_key("P-256")
PUBLIC = STRANGERS.as_dict(private=False)

Signature = Callable[[bytes], bytes]
Vectors = Mapping[str, str]
"""What is wrong with it -> the token."""


def spelled(value: Any) -> str:
    """A part of a token."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def signature(key: ECKey | RSAKey, algorithm: str = "ES256") -> Signature:
    """By a key."""
    return lambda signing: JWSRegistry.algorithms[algorithm].sign(signing, key)


def by_hmac(secret: bytes) -> Signature:
    """By what everybody may know."""
    return lambda signing: hmac.digest(secret, signing, hashlib.sha256)


class Forge:
    """Makes tokens with the first key of a private set."""

    def __init__(self, jwks: str, issuer: str, now: int, **usual: Any) -> None:
        """`usual`: claims that a token has unless it says otherwise."""
        self.jwks, self.issuer, self.now, self.mcp = jwks, issuer, now, f"{issuer}/mcp"
        self.key = ECKey.import_key(json.loads(jwks)["keys"][0])
        self.header = {"alg": "ES256", "typ": "at+jwt", "kid": json.loads(jwks)["keys"][0]["kid"]}
        self._usual = usual

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What ours say; None takes a claim away."""
        usual = {
            "iss": self.issuer,
            "aud": self.mcp,
            "sub": "u-of-a-person",
            "client_id": "https://chatgpt.com/oauth/client.json",
            "scope": "calendar",
            "iat": self.now,
            "exp": self.now + 3600,
            "jti": "id-of-this-token",
            "grant": "id-of-a-family",
        }
        return {name: value for name, value in {**usual, **self._usual, **changed}.items() if value is not None}

    def token(self, payload: Any = None, signed: Signature | None = None, **header: Any) -> str:
        """Signed by us unless it says otherwise, whatever it is. None takes a name out of the header."""
        named = header.pop("raw", {name: value for name, value in {**self.header, **header}.items() if value is not None})
        signing = f"{spelled(named)}.{spelled(self.claims() if payload is None else payload)}"
        return f"{signing}.{spelled((signed or signature(self.key))(signing.encode()))}"

    def text(self, **changed: Any) -> str:
        """The claims as JSON."""
        return json.dumps(self.claims(**changed))

    @cached_property
    def ours(self) -> str:
        """One as we write it."""
        return Es256Signer(self.jwks).sign(AccessClaims(**self.claims()))

    @cached_property
    def good(self) -> Vectors:
        """Those that pass."""
        ours = self.ours
        return {"as we write it": ours, "with a claim of later days": self.token(self.claims(cnf={"jkt": "x"}))}

    @cached_property
    def hostile(self) -> Vectors:
        """24 vectors with the good ones (A10)."""
        pem = self.key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        ours = self.ours
        return {
            "alg none": self.token(signed=lambda _: b"", alg="none"),
            "alg nOnE": self.token(signed=lambda _: b"", alg="nOnE"),
            "HS256 with our public PEM": self.token(signed=by_hmac(pem), alg="HS256"),
            "HS256 with our public PEM, prefixed": self.token(signed=by_hmac(b"\n" + pem), alg="HS256"),
            "HS256 with our public JWKS": self.token(signed=by_hmac(public_jwks(self.jwks).encode()), alg="HS256"),
            "HS256 with an empty key": self.token(signed=by_hmac(b""), alg="HS256"),
            "RS256": self.token(signed=signature(RSAKey.generate_key(2048), "RS256"), alg="RS256"),
            "ES384": self.token(signed=signature(ECKey.generate_key("P-384"), "ES384"), alg="ES384"),
            "a stranger's signature": self.token(signed=signature(STRANGERS)),
            "jwk": self.token(signed=signature(STRANGERS), jwk=PUBLIC),
            "jku": self.token(signed=signature(STRANGERS), jku="https://evil.example.net/jwks.json"),
            "x5u": self.token(signed=signature(STRANGERS), x5u="https://evil.example.net/chain.pem"),
            "x5c": self.token(signed=signature(STRANGERS), x5c=["MIIB"]),
            "kid is a path": self.token(signed=by_hmac(b""), alg="HS256", kid="../../dev/null"),
            "kid is SQL": self.token(kid="k1' OR '1'='1"),
            "kid is an address": self.token(signed=signature(STRANGERS), kid="https://evil.example.net/key"),
            "no kid": self.token(kid=None),
            "crit": self.token(crit=["exp"], exp=1),
            "crit b64": self.token(crit=["b64"], b64=False),
            "the signature stripped": ours.rpartition(".")[0] + ".",
            "a signature of zeros": self.token(signed=lambda _: bytes(64)),
            "another's claims under our signature": ".".join(
                [ours.split(".")[0], spelled(self.claims(sub="u-of-another")), ours.split(".")[2]]
            ),
        }

    @cached_property
    def strange(self) -> Vectors:
        """What no library writes."""
        ours = self.ours
        return {
            "jwk under our signature": self.token(jwk=PUBLIC),
            "jku under our signature": self.token(jku="https://evil.example.net/jwks.json"),
            "a name of its own in the header": self.token(zip="DEF"),
            "alg is a list": self.token(alg=["ES256"]),
            "alg in small letters": self.token(alg="es256"),
            "no alg": self.token(alg=None),
            "kid is a number": self.token(kid=1),
            "kid of another case": self.token(kid="K1"),
            "the header is a list": self.token(raw=["ES256"]),
            "the header says alg twice": self.token(raw=b'{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"k1"}'),
            "the claims say sub twice": self.token(self.text(sub="u-of-another")[:-1].encode() + b',"sub":"u-of-a-person"}'),
            "the claims are a list": self.token([self.claims()]),
            "the claims are nothing": self.token(b""),
            "the claims are in UTF-16": self.token(self.text().encode("utf-16")),
            "the claims are nested deeper than we read": self.token(
                self.text().encode()[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}"
            ),
            "the signature in DER": self.token(signed=lambda signing: self.key.private_key.sign(signing, ECDSA(SHA256()))),
            "a part too few": ours.rpartition(".")[0],
            "a part too many": ours + ".",
            "encrypted": ".".join(["x"] * 5),
            "another spelling of base64": ours[:-1] + chr(ord(ours[-1]) + 1),
            "padded": ours + "=",
            "a line at its end": ours + "\n",
            "a space before it": " " + ours,
            "its scheme before it": f"Bearer {ours}",
            "JSON serialization": json.dumps(dict(zip(("protected", "payload", "signature"), ours.split("."), strict=True))),
        }

    @cached_property
    def other_kinds(self) -> Vectors:
        """Of another kind, or for another place than our MCP endpoint."""
        return {
            "an identity token": self.token(typ="JWT"),
            "no type": self.token(typ=None),
            "Google's identity token": self.token(
                self.claims(iss="https://accounts.google.com", aud="1-x.apps.googleusercontent.com"), typ="JWT"
            ),
            "Google's access token": "ya29.a0AfH6SMBx-canary-of-an-access-token",
            "our refresh token": "id-of-a-family.0123456789012345678901234567890123456789012",
            "a code": "SplxlOBeZQQYbYS6WxSbIA",
            "ChatGPT's key": "sk-proj-0123456789",
            "a sealed text": "v1.k1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "for another service": self.token(self.claims(aud="https://other.example.com/mcp")),
            "for the REST interface": self.token(self.claims(aud=self.issuer)),
            "for ours with a slash": self.token(self.claims(aud=f"{self.mcp}/")),
            "for ours and others": self.token(self.claims(aud=[self.mcp, "https://other.example.com"])),
            "for ours in a list": self.token(self.claims(aud=[self.mcp])),
            "for nobody": self.token(self.claims(aud=None)),
            "of another issuer": self.token(self.claims(iss=f"{self.issuer}.evil.example.net")),
            "of ours with a slash": self.token(self.claims(iss=f"{self.issuer}/")),
            "of ours in a list": self.token(self.claims(iss=[self.issuer])),
            "of a list of people": self.token(self.claims(sub=["u-of-a-person"])),
            "of nobody": self.token(self.claims(sub="")),
            "without a client": self.token(self.claims(client_id=None)),
            "without a family": self.token(self.claims(grant=None)),
            "of an empty family": self.token(self.claims(grant="")),
        }

    @cached_property
    def out_of_time(self) -> Vectors:
        """Of another time, or of none."""
        now = self.now
        return {
            "ended 61 s ago": self.token(self.claims(exp=now - 61)),
            "ended 60 s ago": self.token(self.claims(exp=now - 60)),
            "never ends": self.token(self.claims(exp=None)),
            "ends at null": self.token(self.text().replace(str(now + 3600), "null").encode()),
            "ends at a text": self.token(self.claims(exp=str(now + 3600))),
            "ends at true": self.token(self.claims(exp=True)),
            "ends at 1e400": self.token(self.text().replace(str(now + 3600), "1e400").encode()),
            "ends at infinity": self.token(self.text().replace(str(now + 3600), "Infinity").encode()),
            "ends at a number of 5,000 digits": self.token(self.text().replace(str(now + 3600), "9" * 5000).encode()),
            "ends before 1970": self.token(self.claims(exp=-1)),
            "ends at 0": self.token(self.claims(exp=0)),
            "ends in a list": self.token(self.claims(exp=[now + 3600])),
            "valid in 10 minutes": self.token(self.claims(nbf=now + 600)),
            "valid in 61 s": self.token(self.claims(nbf=now + 61)),
            "valid from a text on": self.token(self.claims(nbf="0")),
            "issued in 10 minutes": self.token(self.claims(iat=now + 600)),
            "issued never": self.token(self.claims(iat=None)),
        }
