"""Write the agreed documents anew."""

from tests.published import CONFIGURATION, FILES, FOLDER
from tests.world import started

with started("manifest", **CONFIGURATION) as world:
    for name, path in FILES.items():
        (FOLDER / name).write_text(world.http.get(path).raise_for_status().text + "\n", "utf-8")
