"""Encrypt anew what an older key of SEALING_KEYS encrypted: `python -m infra.reseal`, with the settings of the deployment.

The last step of a rotation (infra/keys.py): when it has ended with 0 left, the older key can be taken out.
"""

import asyncio
import sys

from functions import wiring
from functions.capabilities import CATALOGUE
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError
from functions.core.oauth.resealing import Resealed, reseal
from functions.core.settings import InvalidSettings

SECONDS = 3600.0


async def resealed() -> Resealed:
    """What came of it, over the whole store."""
    services = wiring.Services(wiring.settings(CATALOGUE.apis), CATALOGUE)
    return await reseal(services.documents, services.sealer, Deadline.after(SECONDS, asyncio.get_running_loop().time))


def main() -> str | None:
    """Do it; the return value is what is wrong."""
    try:
        done = asyncio.run(resealed())
    except (CantileverError, InvalidSettings) as error:
        return str(error)
    print(f"{done.renewed} grants are encrypted anew, {done.lost} cannot be opened any more: their users connect again when they come.")
    return None


if __name__ == "__main__":
    sys.exit(main())
