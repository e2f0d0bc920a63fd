"""Serve the emulated Google until stopped, as the command line says."""

from infra.local import google_emulator
from infra.local.google_emulator import CLIENT_ID, CLIENT_SECRET, Emulator
from infra.local.google_emulator.accounts import Client
from infra.local.google_emulator.faults import Fault
from infra.local.serving import arguments, serve


def main() -> None:
    """Read the command line, and serve."""
    parser = arguments(google_emulator.__doc__ or "")
    parser.add_argument("--client-id", default=CLIENT_ID)
    parser.add_argument("--client-secret", default=CLIENT_SECRET)
    parser.add_argument("--redirect-uri", action="append", metavar="URI", help="where the client may be returned to; may be repeated")
    parser.add_argument("--fail", metavar="NAME")
    parser.add_argument("--on", default="/", metavar="PATH")
    parser.add_argument("--fail-first", type=int, metavar="N")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    given = parser.parse_args()
    try:
        faults = [Fault(given.fail, given.on, given.fail_first, given.latency)] if given.fail else []
    except ValueError as error:
        parser.error(str(error))
    redirect_uris = set(given.redirect_uri or ["http://localhost:8080/oauth/callback"])
    client = Client(given.client_id, given.client_secret, redirect_uris)
    serve(Emulator([client], faults=faults).application(), given.port)


if __name__ == "__main__":
    main()
