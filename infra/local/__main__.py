"""Start the local world: `python -m infra.local [--port 8080]`, or `make run`."""

import sys

if sys.version_info < (3, 11):
    sys.exit(f"Cantilever needs Python 3.11 or newer; this is {sys.version.split()[0]}. `make run` looks for one by itself.")

try:
    from infra.local.runner import main
except ModuleNotFoundError as missing:
    sys.exit(f"The package {missing.name} is not installed here. `make run` installs what is needed, or: pip install -r requirements.txt")

sys.exit(main())
