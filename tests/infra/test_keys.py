"""An operator makes keys, and rotates them while old and new instances run side by side."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping

from functions.adapters.access_tokens import Es256Signer, Es256Verifier
from functions.adapters.sealing import AesGcmRing
from functions.core.access_token import AccessClaims
from tests.world import ROOT

NAMES = ["TOKEN_SIGNING_KEYS", "TOKEN_PUBLIC_KEYS", "SEALING_KEYS", "CHATGPT_CLIENT_ID", "CHATGPT_CLIENT_SECRET"]
ISSUER = "https://plugin.example.com"


def keys() -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", "infra.keys"], env=environ, cwd=ROOT, capture_output=True, text=True, check=True)


def fresh() -> Mapping[str, str]:
    """What a shell has after `eval "$(python -m infra.keys)"`."""
    printing = " ".join(f'"${name}"' for name in NAMES)
    script = f"{keys().stdout}\nprintf '%s\\n' {printing}"
    ran = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True, env={})
    return dict(zip(NAMES, ran.stdout.splitlines(), strict=True))


def claims(now: float) -> AccessClaims:
    return AccessClaims(
        iss=ISSUER, aud=ISSUER, sub="u", client_id="c", scope="calendar", exp=int(now) + 60, iat=int(now), jti="j", grant="g"
    )


def ring(*sets: str) -> str:
    """One key set of several, in their order."""
    return json.dumps({"keys": [key for one in sets for key in json.loads(one)["keys"]]})


def test_what_is_printed_signs_verifies_and_seals() -> None:
    made, now = fresh(), time.time()

    token = Es256Signer(made["TOKEN_SIGNING_KEYS"]).sign(claims(now))
    sealer = AesGcmRing(made["SEALING_KEYS"])

    assert Es256Verifier(made["TOKEN_PUBLIC_KEYS"], ISSUER).verify(token, {ISSUER}, now) == claims(now)
    assert sealer.open(sealer.seal("x", user="u", purpose="p"), user="u", purpose="p") == "x"
    assert len(made["CHATGPT_CLIENT_SECRET"]) >= 22


def test_the_keys_are_printed_apart_from_the_words() -> None:
    ran = keys()

    assert [line.partition("=")[0] for line in ran.stdout.splitlines()] == NAMES
    assert all(shlex.split(line) == [line.replace("'", "")] for line in ran.stdout.splitlines())
    secrets = re.findall(r'"d":"([^"]+)"|SEALING_KEYS=\'[^:]+:([^\']+)|SECRET=\'([^\']+)', ran.stdout)
    assert len(secrets) == 3
    assert not [secret for found in secrets for secret in found if secret and secret in ran.stderr]
    assert "python -m infra.reseal" in ran.stderr


def test_at_each_step_of_a_rotation_old_and_new_instances_understand_each_other() -> None:
    old, new, now = fresh(), fresh(), time.time()
    order = [(old,), (old, new), (new, old), (new,)]
    signers = [Es256Signer(ring(*(made["TOKEN_SIGNING_KEYS"] for made in step))) for step in order]
    verifiers = [Es256Verifier(ring(*(made["TOKEN_PUBLIC_KEYS"] for made in step)), ISSUER) for step in order]
    sealers = [AesGcmRing(",".join(made["SEALING_KEYS"] for made in step)) for step in order]

    for before, after in ((0, 1), (1, 2), (2, 3)):
        for one, other in ((before, after), (after, before)):
            assert verifiers[other].verify(signers[one].sign(claims(now)), {ISSUER}, now)
            assert sealers[other].open(sealers[one].seal("x", user="u", purpose="p"), user="u", purpose="p") == "x"
    assert sealers[2].stale(sealers[0].seal("x", user="u", purpose="p"))


def test_two_keys_of_one_day_can_be_in_one_ring() -> None:
    first, second = fresh(), fresh()

    assert AesGcmRing(f"{first['SEALING_KEYS']},{second['SEALING_KEYS']}")
    assert Es256Signer(ring(first["TOKEN_SIGNING_KEYS"], second["TOKEN_SIGNING_KEYS"]))
