"""Access tokens: only ours pass, of now and for us (T16, T18 to T20, A10); no key is looked for outside, and nothing of a token is repeated."""

import hashlib
import hmac
import json
import subprocess
import sys
import time
import traceback
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from functions.adapters.access_tokens import MAX_TOKEN, Es256Signer, Es256Verifier, new_jwks, public_jwks
from functions.core.access_token import AccessClaims
from functions.core.errors import Unauthenticated
from functions.core.settings import InvalidSettings

ROOT = Path(__file__).parents[2]
ISSUER = "https://plugin.example.com"
MCP = f"{ISSUER}/mcp"
NOW = 1_795_000_000

OURS = new_jwks("k1")
KEY = ECKey.import_key(json.loads(OURS)["keys"][0])
PEM = KEY.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
STRANGERS = ECKey.generate_key("P-256")
HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": "k1"}

Signature = Callable[[bytes], bytes]


def claims(**changed: Any) -> dict[str, Any]:
    """What ours say; None takes a claim away."""
    usual = {
        "iss": ISSUER,
        "aud": MCP,
        "sub": "u-of-a-person",
        "client_id": "https://chatgpt.com/oauth/client.json",
        "scope": "calendar",
        "iat": NOW,
        "exp": NOW + 3600,
        "jti": "id-of-this-token",
        "grant": "id-of-a-family",
    }
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def spelled(value: Any) -> str:
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def signature(key: ECKey | RSAKey, algorithm: str = "ES256") -> Signature:
    return lambda signing: JWSRegistry.algorithms[algorithm].sign(signing, key)


def by_hmac(secret: bytes) -> Signature:
    return lambda signing: hmac.digest(secret, signing, hashlib.sha256)


def token(payload: Any = None, signed: Signature | None = None, **header: Any) -> str:
    """Signed by us unless it says otherwise, whatever it is: so that one fault alone is left to find. None takes a name out of the header."""
    named = header.pop("raw", {name: value for name, value in {**HEADER, **header}.items() if value is not None})
    signing = f"{spelled(named)}.{spelled(claims() if payload is None else payload)}"
    return f"{signing}.{spelled((signed or signature(KEY))(signing.encode()))}"


def text(**changed: Any) -> str:
    return json.dumps(claims(**changed))


GOOD = Es256Signer(OURS).sign(AccessClaims(**claims()))
VERIFIER = Es256Verifier(public_jwks(OURS), ISSUER)
PUBLIC = STRANGERS.as_dict(private=False)

GOOD_VECTORS = {"as we write it": GOOD, "with a claim of later days": token(claims(cnf={"jkt": "x"}))}

HOSTILE_VECTORS = {
    "alg none": token(signed=lambda _: b"", alg="none"),
    "alg nOnE": token(signed=lambda _: b"", alg="nOnE"),
    "HS256 with our public PEM": token(signed=by_hmac(PEM), alg="HS256"),
    "HS256 with our public PEM, prefixed": token(signed=by_hmac(b"\n" + PEM), alg="HS256"),
    "HS256 with our public JWKS": token(signed=by_hmac(public_jwks(OURS).encode()), alg="HS256"),
    "HS256 with an empty key": token(signed=by_hmac(b""), alg="HS256"),
    "RS256": token(signed=signature(RSAKey.generate_key(2048), "RS256"), alg="RS256"),
    "ES384": token(signed=signature(ECKey.generate_key("P-384"), "ES384"), alg="ES384"),
    "a stranger's signature": token(signed=signature(STRANGERS)),
    "jwk": token(signed=signature(STRANGERS), jwk=PUBLIC),
    "jku": token(signed=signature(STRANGERS), jku="https://evil.example.net/jwks.json"),
    "x5u": token(signed=signature(STRANGERS), x5u="https://evil.example.net/chain.pem"),
    "x5c": token(signed=signature(STRANGERS), x5c=["MIIB"]),
    "kid is a path": token(signed=by_hmac(b""), alg="HS256", kid="../../dev/null"),
    "kid is SQL": token(kid="k1' OR '1'='1"),
    "kid is an address": token(signed=signature(STRANGERS), kid="https://evil.example.net/key"),
    "no kid": token(kid=None),
    "crit": token(crit=["exp"], exp=1),
    "crit b64": token(crit=["b64"], b64=False),
    "the signature stripped": GOOD.rpartition(".")[0] + ".",
    "a signature of zeros": token(signed=lambda _: bytes(64)),
    "another's claims under our signature": ".".join([GOOD.split(".")[0], spelled(claims(sub="u-of-another")), GOOD.split(".")[2]]),
}
"""24 vectors with the good ones (A10)."""

STRANGE_VECTORS = {
    "jwk under our signature": token(jwk=PUBLIC),
    "jku under our signature": token(jku="https://evil.example.net/jwks.json"),
    "a name of its own in the header": token(zip="DEF"),
    "alg is a list": token(alg=["ES256"]),
    "alg in small letters": token(alg="es256"),
    "no alg": token(alg=None),
    "kid is a number": token(kid=1),
    "kid of another case": token(kid="K1"),
    "the header is a list": token(raw=["ES256"]),
    "the header says alg twice": token(raw=b'{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"k1"}'),
    "the claims say sub twice": token(text(sub="u-of-another")[:-1].encode() + b',"sub":"u-of-a-person"}'),
    "the claims are a list": token([claims()]),
    "the claims are nothing": token(b""),
    "the claims are in UTF-16": token(text().encode("utf-16")),
    "the claims are nested deeper than we read": token(text().encode()[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    "the signature in DER": token(signed=lambda signing: KEY.private_key.sign(signing, ECDSA(SHA256()))),
    "a part too few": GOOD.rpartition(".")[0],
    "a part too many": GOOD + ".",
    "encrypted": ".".join(["x"] * 5),
    "another spelling of base64": GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
    "padded": GOOD + "=",
    "a line at its end": GOOD + "\n",
    "a space before it": " " + GOOD,
    "its scheme before it": f"Bearer {GOOD}",
    "JSON serialization": json.dumps(dict(zip(("protected", "payload", "signature"), GOOD.split("."), strict=True))),
}

OTHER_KINDS = {
    "an identity token": token(typ="JWT"),
    "no type": token(typ=None),
    "Google's identity token": token(claims(iss="https://accounts.google.com", aud="1-x.apps.googleusercontent.com"), typ="JWT"),
    "Google's access token": "ya29.a0AfH6SMBx-canary-of-an-access-token",
    "our refresh token": "id-of-a-family.0123456789012345678901234567890123456789012",
    "a code": "SplxlOBeZQQYbYS6WxSbIA",
    "ChatGPT's key": "sk-proj-0123456789",
    "a sealed text": "v1.k1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "for another service": token(claims(aud="https://other.example.com/mcp")),
    "for the REST interface": token(claims(aud=ISSUER)),
    "for ours with a slash": token(claims(aud=f"{MCP}/")),
    "for ours and others": token(claims(aud=[MCP, "https://other.example.com"])),
    "for ours in a list": token(claims(aud=[MCP])),
    "for nobody": token(claims(aud=None)),
    "of another issuer": token(claims(iss=f"{ISSUER}.evil.example.net")),
    "of ours with a slash": token(claims(iss=f"{ISSUER}/")),
    "of ours in a list": token(claims(iss=[ISSUER])),
    "of a list of people": token(claims(sub=["u-of-a-person"])),
    "of nobody": token(claims(sub="")),
    "without a client": token(claims(client_id=None)),
    "without a family": token(claims(grant=None)),
    "of an empty family": token(claims(grant="")),
}

OUT_OF_TIME = {
    "ended 61 s ago": token(claims(exp=NOW - 61)),
    "ended 60 s ago": token(claims(exp=NOW - 60)),
    "never ends": token(claims(exp=None)),
    "ends at null": token(text().replace(str(NOW + 3600), "null").encode()),
    "ends at a text": token(claims(exp=str(NOW + 3600))),
    "ends at true": token(claims(exp=True)),
    "ends at 1e400": token(text().replace(str(NOW + 3600), "1e400").encode()),
    "ends at infinity": token(text().replace(str(NOW + 3600), "Infinity").encode()),
    "ends at a number of 5,000 digits": token(text().replace(str(NOW + 3600), "9" * 5000).encode()),
    "ends before 1970": token(claims(exp=-1)),
    "ends at 0": token(claims(exp=0)),
    "ends in a list": token(claims(exp=[NOW + 3600])),
    "valid in 10 minutes": token(claims(nbf=NOW + 600)),
    "valid in 61 s": token(claims(nbf=NOW + 61)),
    "valid from a text on": token(claims(nbf="0")),
    "issued in 10 minutes": token(claims(iat=NOW + 600)),
    "issued never": token(claims(iat=None)),
}

REFUSED = {**HOSTILE_VECTORS, **STRANGE_VECTORS, **OTHER_KINDS, **OUT_OF_TIME}


def test_there_are_as_many_vectors_as_were_agreed() -> None:
    assert (len(GOOD_VECTORS), len(HOSTILE_VECTORS)) == (2, 22)
    assert len(set(REFUSED.values())) == len(REFUSED)


@pytest.mark.parametrize("good", GOOD_VECTORS.values(), ids=GOOD_VECTORS)
def test_what_we_signed_passes(good: str) -> None:
    assert VERIFIER.verify(good, {ISSUER, MCP}, NOW) == AccessClaims(**claims())


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_no_other_token_passes_and_nothing_of_it_is_repeated(refused: str) -> None:
    with pytest.raises(Unauthenticated) as told:
        VERIFIER.verify(refused, {MCP}, NOW)

    shown = "".join(traceback.format_exception(told.value))
    assert not [part for part in refused.split(".") if len(part) > 4 and part in shown]
    assert "u-of-a" not in shown
    assert "evil" not in shown


@pytest.mark.parametrize(
    "changed",
    [{"exp": NOW - 59}, {"nbf": NOW + 30}, {"nbf": NOW + 60}, {"iat": NOW + 60}, {"nbf": NOW - 600}, {"exp": float(NOW + 3600)}],
    ids=str,
)
def test_clocks_may_differ_by_a_minute(changed: dict[str, float]) -> None:
    assert VERIFIER.verify(token(claims(**changed)), {MCP}, NOW).sub == "u-of-a-person"


GIANT = {
    "8 MB": "x" * 8_000_000,
    "8 MB of claims under our signature": token(claims(scope="x" * 6_000_000)),
    "8 MB of a header": f"{spelled({**HEADER, 'x': 'x' * 6_000_000})}.{GOOD.partition('.')[2]}",
    "10,000 dots": "." * 10_000,
    "as many dots as we read": "." * MAX_TOKEN,
    "a kid of 1 MB": token(kid="k" * 1_000_000),
    "a kid as long as we read": token(kid="k" * 4000),
    "as many levels as we read": f"{spelled(b'[' * 6000)}.x.x",
    "a character more than we read": GOOD + "x" * (MAX_TOKEN + 1 - len(GOOD)),
    "signs beyond ASCII": "🙂" * MAX_TOKEN,
    "halves of signs": "\ud83d.\ud83d.\ud83d",
    "zeros": "\0.\0.\0",
    "nothing": "",
}


@pytest.mark.parametrize("giant", GIANT.values(), ids=GIANT)
def test_giants_are_refused_at_once(giant: str) -> None:
    began = time.perf_counter()

    with pytest.raises(Unauthenticated):
        VERIFIER.verify(giant, {MCP}, NOW)

    assert time.perf_counter() - began <= 0.05


def test_a_signed_token_longer_than_we_read_is_refused() -> None:
    longest = "x" * (MAX_TOKEN - len(GOOD))

    with pytest.raises(Unauthenticated):
        VERIFIER.verify(token(claims(scope=longest)), {MCP}, NOW)


QUIET = """
import json, sys
from functions.adapters.access_tokens import Es256Verifier
from functions.core.errors import Unauthenticated

given = json.load(sys.stdin)
verifier = Es256Verifier(given["jwks"], given["issuer"])
opened, passed = [], 0

def note(event, given):
    if event == "open" and "site-packages" not in str(given[0]) and "lib/python" not in str(given[0]):
        opened.append(str(given[0]))
    if event.partition(".")[0] in {"socket", "urllib", "http", "sqlite3", "subprocess"}:
        opened.append(event)

sys.addaudithook(note)
for token in given["tokens"]:
    try:
        verifier.verify(token, {given["audience"]}, given["now"])
        passed += 1
    except Unauthenticated:
        pass
print(json.dumps({"passed": passed, "opened": opened}))
"""


def test_no_token_makes_us_open_anything() -> None:
    tokens = [*GOOD_VECTORS.values(), *HOSTILE_VECTORS.values(), *STRANGE_VECTORS.values(), *OTHER_KINDS.values()]
    given = {"jwks": public_jwks(OURS), "issuer": ISSUER, "audience": MCP, "now": NOW, "tokens": tokens}

    ran = subprocess.run([sys.executable, "-c", QUIET], input=json.dumps(given), cwd=ROOT, capture_output=True, text=True, check=True)

    assert json.loads(ran.stdout) == {"passed": 2, "opened": []}


def test_another_library_reads_what_we_sign_by_what_we_show() -> None:
    shown = jwt.PyJWKSet.from_json(public_jwks(OURS))

    read = jwt.decode(
        GOOD, shown["k1"], algorithms=["ES256"], audience=MCP, issuer=ISSUER, options={"verify_exp": False, "verify_iat": False}
    )

    assert jwt.get_unverified_header(GOOD) == {"alg": "ES256", "typ": "at+jwt", "kid": "k1"}
    assert read == claims()


def test_a_ring_signs_with_its_first_key_and_verifies_with_all() -> None:
    newer = json.loads(new_jwks("k2"))["keys"]
    ring = json.dumps({"keys": newer + json.loads(OURS)["keys"]})
    of_both, of_the_newer = Es256Verifier(public_jwks(ring), ISSUER), Es256Verifier(public_jwks(json.dumps({"keys": newer})), ISSUER)

    fresh = Es256Signer(ring).sign(AccessClaims(**claims()))

    assert of_both.verify(fresh, {MCP}, NOW) == of_both.verify(GOOD, {MCP}, NOW)
    assert of_the_newer.verify(fresh, {MCP}, NOW)
    with pytest.raises(Unauthenticated):
        of_the_newer.verify(GOOD, {MCP}, NOW)
    with pytest.raises(Unauthenticated):
        VERIFIER.verify(fresh, {MCP}, NOW)


def test_a_key_under_anothers_name_signs_nothing() -> None:
    impostor = Es256Signer(new_jwks("k1")).sign(AccessClaims(**claims()))

    with pytest.raises(Unauthenticated):
        VERIFIER.verify(impostor, {MCP}, NOW)


def test_a_token_that_was_seen_before_is_asked_for_its_time_and_its_audience_again() -> None:
    verifier = Es256Verifier(public_jwks(OURS), ISSUER)
    assert verifier.verify(GOOD, {MCP}, NOW)

    for audiences, now in (({MCP}, NOW + 3660), ({MCP}, NOW - 61), ({ISSUER}, NOW), (set(), NOW)):
        with pytest.raises(Unauthenticated):
            verifier.verify(GOOD, audiences, now)
    assert verifier.verify(GOOD, {MCP}, NOW)


def test_a_token_that_was_seen_before_costs_a_fifth_at_most() -> None:
    def seconds(verifier: Es256Verifier, tokens: list[str]) -> float:
        took = []
        for one in tokens:
            began = time.process_time()
            verifier.verify(one, {MCP}, NOW)
            took.append(time.process_time() - began)
        return median(took)

    tokens = [token(claims(jti=str(number))) for number in range(200)]
    verifier = Es256Verifier(public_jwks(OURS), ISSUER)

    assert seconds(verifier, tokens) >= 5 * seconds(verifier, tokens)


def test_what_is_shown_of_the_keys_signs_nothing() -> None:
    shown = json.loads(public_jwks(OURS))

    assert [sorted(key) for key in shown["keys"]] == [["alg", "crv", "kid", "kty", "use", "x", "y"]]
    assert json.loads(OURS)["keys"][0]["d"] not in public_jwks(OURS)
    with pytest.raises(InvalidSettings, match="TOKEN_SIGNING_KEYS"):
        Es256Signer(json.dumps(shown))
    with pytest.raises(InvalidSettings, match="TOKEN_SIGNING_KEYS"):
        public_jwks(json.dumps(shown))


def test_private_keys_are_not_taken_for_public_ones() -> None:
    with pytest.raises(InvalidSettings, match="TOKEN_PUBLIC_KEYS") as told:
        Es256Verifier(OURS, ISSUER)

    assert json.loads(OURS)["keys"][0]["d"] not in "".join(traceback.format_exception(told.value))


def jwks(*keys: Any, **changed: Any) -> str:
    """Our key with changes, or other keys; None takes a name away."""
    key = {name: value for name, value in {**json.loads(OURS)["keys"][0], **changed}.items() if value is not None}
    return json.dumps({"keys": list(keys) or [key]})


WRONG_SETTINGS = {
    "nothing": "",
    "no JSON": "k1:secret-canary",
    "no set": "{}",
    "a list": "[]",
    "an empty set": '{"keys": []}',
    "numbers for keys": jwks(1),
    "a shared secret": jwks({"kty": "oct", "k": "c2VjcmV0LWNhbmFyeQ", "kid": "k1"}),
    "RSA": jwks(RSAKey.generate_key(2048, {"kid": "k1"}).as_dict(private=True)),
    "another curve": jwks(ECKey.generate_key("P-384", {"kid": "k1", "alg": "ES256", "use": "sig"}).as_dict(private=True)),
    "no kid": jwks(kid=None),
    "an empty kid": jwks(kid=""),
    "a kid too long for a header": jwks(kid="k" * 65),
    "a kid twice": jwks(*json.loads(OURS)["keys"] * 2),
    "for encryption": jwks(use="enc"),
    "for another algorithm": jwks(alg="ES384"),
    "for signing alone": jwks(key_ops=["sign"]),
    "another's private half": jwks(d=json.loads(new_jwks("k2"))["keys"][0]["d"]),
    "no point of the curve": jwks(x="A" * 43),
    "a private half that is cut": jwks(d="A" * 20),
    "a name twice": OURS.replace('"kid"', '"kid": "k0", "kid"'),
}


@pytest.mark.parametrize("wrong", WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_a_wrong_setting_is_told_without_its_value(wrong: str) -> None:
    with pytest.raises(InvalidSettings) as told:
        Es256Signer(wrong)

    shown = "".join(traceback.format_exception(told.value))
    assert "TOKEN_SIGNING_KEYS" in str(told.value)
    assert "canary" not in shown
    assert "c2VjcmV0" not in shown
    assert json.loads(OURS)["keys"][0]["d"] not in shown


def test_no_two_keys_are_alike_and_none_is_shown_by_what_holds_it() -> None:
    assert len({new_jwks("k1") for _ in range(20)}) == 20
    for holder in (Es256Signer(OURS), VERIFIER):
        assert json.loads(OURS)["keys"][0]["d"] not in repr(holder) + repr(vars(holder))
