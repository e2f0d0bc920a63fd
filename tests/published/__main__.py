"""Write the agreed documents anew."""

import shutil

from tests.published import CONFIGURATION, FILES, FOLDER, derived
from tests.world import started

with started("manifest", **CONFIGURATION) as world:
    served = {name: world.http.get(path).raise_for_status().text + "\n" for name, path in FILES.items()}
shutil.rmtree(FOLDER / "package", ignore_errors=True)  # A file that is no longer written goes, too.
for name, text in {**served, **derived()}.items():
    (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
    (FOLDER / name).write_text(text, "utf-8")
