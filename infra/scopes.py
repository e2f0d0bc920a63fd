"""`python -m infra.scopes`: the scopes of Google that the capabilities name, to be listed on Google's consent screen."""

from functions.capabilities import CATALOGUE


def main() -> None:
    """Print them, with the capability that needs each."""
    for capability in CATALOGUE.capabilities:
        for scope in dict.fromkeys(scope.name for operation in capability.operations for scope in operation.scopes):
            print(f"{scope}  # {capability.name}")


if __name__ == "__main__":
    main()
