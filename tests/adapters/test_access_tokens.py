"""Access tokens: only ours pass, of now and for us (T16, T18 to T20, A10); no key is looked for outside, and nothing of a token is repeated."""

import json
import subprocess
import sys
import time
import traceback
from pathlib import Path
from statistics import median
from typing import Any

import jwt
import pytest
from joserfc.jwk import ECKey, RSAKey

from functions.adapters.access_tokens import MAX_TOKEN, Es256Signer, Es256Verifier, new_jwks, public_jwks
from functions.core.access_token import AccessClaims
from functions.core.errors import Unauthenticated
from functions.core.settings import InvalidSettings
from tests.forged import Forge, spelled

ROOT = Path(__file__).parents[2]
ISSUER = "https://plugin.example.com"
MCP = f"{ISSUER}/mcp"
NOW = 1_795_000_000

OURS = new_jwks("k1")
FORGE = Forge(OURS, ISSUER, NOW)
GOOD, claims, token = FORGE.ours, FORGE.claims, FORGE.token
VERIFIER = Es256Verifier(public_jwks(OURS), ISSUER)

REFUSED = {**FORGE.hostile, **FORGE.strange, **FORGE.other_kinds, **FORGE.out_of_time}


def test_there_are_as_many_vectors_as_were_agreed() -> None:
    assert (len(FORGE.good), len(FORGE.hostile)) == (2, 22)
    assert len(set(REFUSED.values())) == len(REFUSED)


@pytest.mark.parametrize("good", FORGE.good.values(), ids=FORGE.good)
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
    "8 MB of a header": f"{spelled({**FORGE.header, 'x': 'x' * 6_000_000})}.{GOOD.partition('.')[2]}",
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
    tokens = [*FORGE.good.values(), *FORGE.hostile.values(), *FORGE.strange.values(), *FORGE.other_kinds.values()]
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
