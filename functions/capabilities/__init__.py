"""What this deployment can do: every file here is a capability. A new one is found by being here."""

from importlib import import_module
from pkgutil import iter_modules

from functions.core.capability import collect

CATALOGUE = collect([import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)])
