"""P7: what a token costs: `python -m tests.bench P7`."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from functions.adapters.access_tokens import Es256Signer, Es256Verifier, new_jwks, public_jwks
from functions.adapters.sealing import AesGcmRing, new_key
from tests.bench import signed_in
from tests.bench.report import Section, Verdict

T = TypeVar("T")

TOKENS, ROUNDS = 300, 5
FIRST, AGAIN = "verify, first time", "verify, seen before"
GOALS = {FIRST: 200.0, AGAIN: 20.0}
"""Microseconds of processor time; the second is a stretch."""
GOOGLES = "r" * 120
"""As long as a refresh token of Google's."""

METHOD = f"""In this process: {TOKENS} tokens of as many people, each signed, then verified (signature, issuer, audience, times) by a verifier that is new in
each round, and verified once more; and as many refresh tokens of Google's, {len(GOOGLES)} characters each, sealed and opened. Processor time by the
process's own clock, {ROUNDS} rounds, medians. Nobody is asked and nothing is read: whether a grant still lives is P6's row of who has signed in."""


async def measure() -> Section:
    """Time it all."""
    found: Mapping[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name, microseconds in _round():
            found[name].append(microseconds)
    measured = {name: statistics.median(times) for name, times in found.items()}
    rows = [(name, f"{measured[name]:.1f}", f"{min(times):.1f}", f"{max(times):.1f}") for name, times in found.items()]
    verdicts = [
        Verdict("P7", f"{name}: <= {most:g} us of processor time", f"{measured[name]:.1f} us", measured[name] <= most)
        for name, most in GOALS.items()
    ]
    return Section("P7: what a token costs", METHOD, ("", "us of processor time", "fastest round", "slowest"), rows, verdicts)


def _round() -> Sequence[tuple[str, float]]:
    """What everything takes once, with new keys."""
    keys, ring, now = new_jwks("k1"), AesGcmRing(new_key("k1")), datetime.now(UTC)
    signer, verifier = Es256Signer(keys), Es256Verifier(public_jwks(keys), signed_in.ISSUER)
    claims = [signed_in.claims(signed_in.person(number), now) for number in range(TOKENS)]
    tokens, signing = _timed(lambda: [signer.sign(said) for said in claims])
    _, first = _timed(lambda: [verifier.verify(token, {signed_in.ISSUER}, now.timestamp()) for token in tokens])
    _, again = _timed(lambda: [verifier.verify(token, {signed_in.ISSUER}, now.timestamp()) for token in tokens])
    sealed, sealing = _timed(lambda: [ring.seal(GOOGLES, user=said.sub, purpose="bench") for said in claims])
    _, opening = _timed(lambda: [ring.open(one, user=said.sub, purpose="bench") for one, said in zip(sealed, claims, strict=True)])
    return [("sign", signing), (FIRST, first), (AGAIN, again), ("seal", sealing), ("open", opening)]


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What comes of the work, and the microseconds of each of TOKENS."""
    began = time.process_time()
    result = work()
    return result, (time.process_time() - began) / TOKENS * 1e6
