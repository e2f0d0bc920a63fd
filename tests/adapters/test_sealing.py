"""Sealing: what was sealed opens for its user and its purpose, and nothing else does; the keys and the texts show nowhere (T15, T33)."""

import secrets
import traceback
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import assume, given
from hypothesis import strategies as st

from functions.adapters.sealing import AesGcmRing, new_key
from functions.core.sealing import Unsealable
from functions.core.settings import InvalidSettings

OLD, NEW = new_key("k1"), new_key("k2")
RING = AesGcmRing(OLD)
BOTH = AesGcmRing(f"{OLD},{NEW}")
CANARY = "1//0g-canary-of-a-refresh-token"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


def octets_of(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def spelled(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


@given(plain=texts, user=texts, purpose=texts)
def test_what_was_sealed_opens(plain: str, user: str, purpose: str) -> None:
    sealed = RING.seal(plain, user=user, purpose=purpose)

    assert RING.open(sealed, user=user, purpose=purpose) == plain
    assert set(sealed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(st.tuples(texts, texts), st.tuples(texts, texts))
def test_it_opens_for_no_other_user_and_no_other_purpose(for_whom: tuple[str, str], another: tuple[str, str]) -> None:
    assume(for_whom != another)
    sealed = RING.seal(CANARY, user=for_whom[0], purpose=for_whom[1])

    with pytest.raises(Unsealable):
        RING.open(sealed, user=another[0], purpose=another[1])


@pytest.mark.parametrize(
    ("user", "purpose"),
    [
        ("u-2", "refresh"),
        ("u-1", "access"),
        ("u-1refresh", ""),
        ("u-", "1refresh"),
        ("", "u-1refresh"),
        ("refresh", "u-1"),
        ("u-1\0", "refresh"),
        ("u-1", "refresh\0"),
        ("U-1", "refresh"),
        ("u-1\ud83d", "refresh"),
    ],
)
def test_users_and_purposes_do_not_run_into_each_other(user: str, purpose: str) -> None:
    sealed = RING.seal(CANARY, user="u-1", purpose="refresh")

    with pytest.raises(Unsealable):
        RING.open(sealed, user=user, purpose=purpose)


def test_no_sign_of_it_can_be_changed_taken_out_or_added() -> None:
    sealed = BOTH.seal(CANARY, user="u", purpose="p")
    signs = ("", "A", "B", "k", "2", "_", ".", "=", " ", "\n", "é")
    changed = {sealed[:at] + sign + sealed[at + taken :] for at in range(len(sealed) + 1) for sign in signs for taken in (0, 1)} - {sealed}

    opened = []
    for text in changed:
        try:
            opened.append((text, BOTH.open(text, user="u", purpose="p")))
        except Unsealable:
            continue

    assert len(changed) > 1000
    assert opened == []


@pytest.mark.parametrize("length", range(4))
def test_a_sealed_text_has_one_spelling(length: int) -> None:
    sealed = RING.seal("x" * length, user="u", purpose="p")
    body = sealed.removeprefix("v1.k1.")
    last = [body[:-1] + sign for sign in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" if sign != body[-1]]

    for other in [*last, body + "=", body + "==", "=" + body, body[:5] + "!" + body[5:], body.replace("_", "/"), body.replace("-", "+")]:
        if other != body:
            with pytest.raises(Unsealable):
                RING.open(f"v1.k1.{other}", user="u", purpose="p")


def test_no_part_can_be_another_texts() -> None:
    one, two = (octets_of(RING.seal(text, user="u", purpose="p").removeprefix("v1.k1.")) for text in ("one", "two"))

    for octets in (
        two[:12] + one[12:],
        one[:-16] + two[-16:],
        one[:12] + two[12:-16] + one[-16:],
        one[:-1],
        one[:12],
        one[:11],
        b"",
        bytes(28),
    ):
        with pytest.raises(Unsealable):
            RING.open(f"v1.k1.{spelled(octets)}", user="u", purpose="p")


def test_a_key_does_not_open_under_another_id() -> None:
    renamed = AesGcmRing(OLD.replace("k1:", "k9:"))
    sealed = RING.seal(CANARY, user="u", purpose="p")

    with pytest.raises(Unsealable):
        renamed.open(sealed.replace(".k1.", ".k9."), user="u", purpose="p")


NEVER_SEALED = [
    "",
    ".",
    "..",
    "...",
    "v1",
    "v1.k1",
    "v1.k1.",
    "v1.k1.AAAA",
    "v1.k1.A",
    "v1.k1.é",
    "v1.k1.\ud83d",
    "v1.k1.A B",
    "v1.k2.AAAA",
    "v2.k1.AAAA",
]


@pytest.mark.parametrize(
    "text", [*NEVER_SEALED, "v1.k1." + "A" * 1_000_000, "." * 1_000_000, CANARY, f"v1.{CANARY}.{CANARY}", f"v1.k1.{CANARY}"]
)
def test_what_was_never_sealed_does_not_open_and_is_not_repeated(text: str) -> None:
    with pytest.raises(Unsealable) as told:
        RING.open(text, user="u-canary", purpose="p-canary")

    assert "canary" not in "".join(traceback.format_exception(told.value, limit=0))
    assert told.value.__suppress_context__ or told.value.__context__ is None


def test_what_an_earlier_revision_sealed_opens() -> None:
    """Changed only together with a plan for what is stored: the form in front is there for that."""
    ring = AesGcmRing("k20261126:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")

    opened = ring.open(
        "v1.k20261126.OrBkCATrUROPcALjJJnX99yx5qEGa7XqAeyapKGklPXHGDbgydDibmEfqa3e0-U1jw", user="u-1", purpose="refresh token"
    )

    assert opened == "1//0g-a-refresh-token"
    assert ring.successors("family.token") == ["family.E2k6-PHgVvtOc0NKeL8x4xUdwjqtoM2BCwrPOQGb6s8"]


def test_it_is_aes_256_gcm() -> None:
    octets = octets_of(RING.seal(CANARY, user="u", purpose="p").removeprefix("v1.k1."))
    associated = b"\0\0\0\2v1" + b"\0\0\0\2k1" + b"\0\0\0\1u" + b"\0\0\0\1p"

    plain = AESGCM(octets_of(OLD.partition(":")[2])).decrypt(octets[:12], octets[12:], associated)

    assert plain.decode() == CANARY


def test_no_two_texts_share_a_nonce() -> None:
    nonces = {RING.seal(CANARY, user="u", purpose="p").removeprefix("v1.k1.")[:16] for _ in range(20_000)}

    assert len(nonces) == 20_000


def test_after_a_rotation_the_old_opens_until_its_key_is_taken_out() -> None:
    sealed = RING.seal(CANARY, user="u", purpose="p")
    prepared, rotated, done = AesGcmRing(f"{OLD},{NEW}"), AesGcmRing(f"{NEW},{OLD}"), AesGcmRing(NEW)

    fresh = rotated.seal(CANARY, user="u", purpose="p")

    assert [ring.stale(sealed) for ring in (RING, prepared, rotated, done)] == [False, False, True, True]
    assert [ring.stale(fresh) for ring in (RING, prepared, rotated, done)] == [True, True, False, False]
    assert rotated.open(sealed, user="u", purpose="p") == CANARY
    assert prepared.open(fresh, user="u", purpose="p") == CANARY, "an instance of the deploy before can read what is sealed by now"
    assert done.open(fresh, user="u", purpose="p") == CANARY
    with pytest.raises(Unsealable):
        done.open(sealed, user="u", purpose="p")
    with pytest.raises(Unsealable):
        RING.open(fresh, user="u", purpose="p")


@pytest.mark.parametrize("text", ["v2.k1.AAAA", "v1.k11.AAAA", "v1.k1", "", CANARY])
def test_what_the_first_key_did_not_seal_is_stale(text: str) -> None:
    assert RING.stale(text)


def test_a_successor_follows_from_the_token_and_a_key_and_from_nothing_else() -> None:
    token = f"family.{secrets.token_urlsafe(32)}"

    (only,) = RING.successors(token)
    newest, older = AesGcmRing(f"{NEW},{OLD}").successors(token)

    assert only == older != newest
    assert only.startswith("family.")
    assert len(only) == len("family.") + 43
    assert len({only, *RING.successors(only), *RING.successors(token + "x")}) == 3


WRONG_SETTINGS = {
    "nothing": "",
    "a comma": ",",
    "an id": "k1",
    "an id without a key": "k1:",
    "a key without an id": ":" + OLD[3:],
    "a short key": OLD[:-1],
    "a long key": OLD + "A",
    "padding": OLD + "=",
    "a comma too many": f"{OLD},",
    "an id twice": f"{OLD},{OLD}",
    "a key twice": f"{OLD},k2:{OLD[3:]}",
    "another separator": f"{OLD};{NEW}",
    "an id with a space": "k 1:" + OLD[3:],
    "an id with a dot": "k.1:" + OLD[3:],
    "a long id": f"{'k' * 33}:{OLD[3:]}",
}


@pytest.mark.parametrize("keys", WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_a_wrong_setting_is_told_without_its_value(keys: str) -> None:
    with pytest.raises(InvalidSettings) as told:
        AesGcmRing(keys)

    assert "SEALING_KEYS" in str(told.value)
    assert OLD[3:-1] not in "".join(traceback.format_exception(told.value))


def test_spaces_between_keys_do_not_matter() -> None:
    assert AesGcmRing(f" {NEW}, {OLD}\n").open(RING.seal(CANARY, user="u", purpose="p"), user="u", purpose="p") == CANARY


def test_a_ring_shows_no_key() -> None:
    shown = repr(RING) + repr(vars(RING))

    assert OLD[3:] not in shown
    assert repr(octets_of(OLD[3:])) not in shown


def test_no_two_keys_are_alike() -> None:
    assert len({new_key("k1") for _ in range(1000)}) == 1000
