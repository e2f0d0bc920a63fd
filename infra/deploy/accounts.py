"""Service accounts: their names, and what they may do in the whole project."""

from collections.abc import Iterator, Sequence

from infra.deploy.shell import gcloud


def account(name: str, roles: Sequence[str]) -> Iterator[str]:
    """A service account, and what it may do in the whole project."""
    yield gcloud("iam service-accounts create", name)
    for role in roles:
        yield gcloud(
            "projects add-iam-policy-binding", "$PROJECT", f"--member={member(name)}", f"--role={role}", "--condition=None", "--quiet"
        )


def member(name: str) -> str:
    """A service account as a grant names it."""
    return f"serviceAccount:{email(name)}"


def email(name: str) -> str:
    """A service account's address."""
    return f"{name}@$PROJECT.iam.gserviceaccount.com"
