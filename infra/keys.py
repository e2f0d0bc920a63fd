"""`python -m infra.keys`: fresh keys for sign-in, and what to do with them.

They are printed as a shell's assignments, and kept nowhere: eval "$(python -m infra.keys)".
"""

import secrets
import sys
from datetime import UTC, datetime

from functions.adapters.access_tokens import new_jwks, public_jwks
from functions.adapters.sealing import new_key

HOW_TO = """\
TOKEN_SIGNING_KEYS, SEALING_KEYS and CHATGPT_CLIENT_SECRET are secrets: store each in Secret Manager and mount it under its name.

To rotate keys takes two deploys, because instances of the one before still run while the next one starts:
1. Add the new keys BEHIND those that are there (SEALING_KEYS: a comma between them; TOKEN_SIGNING_KEYS and TOKEN_PUBLIC_KEYS: the last in
   "keys"), and deploy all functions. Now every instance reads what a new key will write.
2. Move the new keys to the FRONT, and deploy all functions. Now the new keys sign and seal.
3. Seal anew what an older key sealed: python -m infra.reseal, again if anything was left.
4. An hour after 2., when the last access token that an older key signed has ended, take the older keys out, and deploy all functions.
   A client that still shows a refresh token which it has used before 2. then has to sign in again.
A signing key that somebody else has seen is taken out at once: clients get new access tokens with their refresh tokens. A sealing key that
somebody else has seen is rotated without waiting.
"""


def main() -> int:
    """Print them."""
    kid = f"k{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(2)}"  # Two of one day must not be called alike: a ring knows its keys by this.
    signing = new_jwks(kid)
    fresh = {
        "TOKEN_SIGNING_KEYS": signing,
        "TOKEN_PUBLIC_KEYS": public_jwks(signing),
        "SEALING_KEYS": new_key(kid),
        "CHATGPT_CLIENT_ID": "chatgpt",
        "CHATGPT_CLIENT_SECRET": secrets.token_urlsafe(32),
    }
    print("\n".join(f"{name}='{value}'" for name, value in fresh.items()))
    print(HOW_TO, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
