"""The lines that deploy Cantilever, made from infra/functions.json and functions/routes.py: `python -m infra.deploy_lines`.

They are printed, not run: a reader pastes them into a shell. tests/infra/test_deploy.py runs them against gcloud's own parser.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from functions.core.oauth.records import COLLECTIONS as OAUTH_COLLECTIONS
from functions.core.stored import CONVERSATIONS, TURNS
from infra.deploy.accounts import account, email, member
from infra.deploy.load_balancer import load_balancer
from infra.deploy.shell import folded, gcloud
from infra.deploy.slow_turns import slow_turns
from infra.deploy.table import ALL_IN_ONE, FUNCTIONS, SEPARATE, Function

COLLECTIONS = (CONVERSATIONS, TURNS, "quarantine", "spend", *OAUTH_COLLECTIONS)
"""What Firestore deletes some day after `expires_at`."""

UNINDEXED = ("body", "stamp")
"""Fields that no query asks for: an index of them would cost each write (adapters/firestore.py)."""

BUILDER = "plugin-build"
BUILDER_ROLES = ("roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer")
"""What a build needs, and no more: https://cloud.google.com/functions/docs/securing/build-custom-sa"""

APIS = ("artifactregistry", "cloudbuild", "cloudfunctions", "compute", "firestore", "run", "secretmanager")

PROBE = "httpGet.path=/_health,httpGet.port=8080,periodSeconds=1,failureThreshold=30,timeoutSeconds=1"
"""The first request of an instance: others come only once it answers 200 (https://cloud.google.com/run/docs/configuring/healthchecks)."""


@dataclass(frozen=True, slots=True)
class Step:
    """Lines to paste together, and the words that a reader needs before."""

    title: str
    words: str
    lines: Sequence[str]


def steps() -> Iterator[Step]:
    """The whole way, in order."""
    yield Step(
        "Say what is yours",
        (
            "Keys are read from the keyboard, so that no shell history keeps them. The OAuth client is made in Google's console (below, "
            "Sign-in); to deploy without sign-in, leave `GOOGLE_CLIENT_ID` empty and give a dash for its secret."
        ),
        tuple(choices()),
    )
    words = "A Firestore location cannot be changed later. A new account takes seconds to be known: paste a line that misses it again."
    yield Step("Once for a project", words, tuple(project()))
    words = "The whole plugin at its own address: no domain, no load balancer."
    yield Step("One function", words, (f'PUBLIC_BASE_URL="{ALL_IN_ONE.url}"', *deployment(ALL_IN_ONE)))
    words = "Deployed, `/chat` refuses callers without a token. This opens it, and your model's bill, to whoever knows the address."
    yield Step("A trial", words, (opening(ALL_IN_ONE),))
    words = "Instead, each function scales and is granted rights by itself; behind a load balancer they are one plugin on your own domain."
    lines = [line for function in SEPARATE for line in deployment(function)]
    yield Step("Separate functions", words, ("PUBLIC_BASE_URL=https://plugin.example.com", *lines))
    words = (
        "Turns that outlast their request reach `plugin-worker` by Pub/Sub, which shows who it is; Cloud Scheduler asks each minute for "
        "turns that nobody works on any more."
    )
    yield Step("Their slow turns", words, tuple(slow_turns(SEPARATE)))
    words = "The last line prints the address for your domain's A record; Google makes the certificate once the record points there."
    yield Step("Their load balancer", words, tuple(load_balancer(SEPARATE)))


def choices() -> Iterator[str]:
    """The shell variables that the other lines use."""
    yield "PROJECT=my-project"
    yield "PROJECT_NUMBER=$(" + gcloud("projects describe", "$PROJECT", "--format=value(projectNumber)") + ")"
    yield "REGION=us-central1"
    yield "FIRESTORE_LOCATION=nam5"
    yield 'PUBLISHER_NAME="Example, Inc."'
    yield "CONTACT_EMAIL=help@example.com"
    yield "PRIVACY_EMAIL=privacy@example.com"
    yield "read -rs OPENAI_API_KEY"
    yield "GOOGLE_CLIENT_ID=123456789012-abc.apps.googleusercontent.com"
    yield "read -rs GOOGLE_CLIENT_SECRET"
    yield 'eval "$(python -m infra.keys)"'


def project() -> Iterator[str]:
    """What a project needs once, whichever functions it runs."""
    yield gcloud("services enable", *(f"{api}.googleapis.com" for api in APIS))
    yield from account(BUILDER, BUILDER_ROLES)
    yield gcloud(
        "firestore databases create",
        "--database=(default)",
        "--location=$FIRESTORE_LOCATION",
        "--type=firestore-native",
        "--delete-protection",
    )
    for collection in COLLECTIONS:
        where = (f"--collection-group={collection}", "--database=(default)", "--async")
        yield gcloud("firestore fields ttls update expires_at", *where, "--enable-ttl")
        for field in UNINDEXED:
            yield gcloud(f"firestore indexes fields update {field}", *where, "--disable-indexes")
    for secret in sorted({secret for function in FUNCTIONS for secret in (*function.secrets.values(), *function.mounts.values())}):
        variable = secret.upper().replace("-", "_")
        yield gcloud("secrets create", secret, "--replication-policy=automatic")
        yield f'printf %s "${variable}" | ' + gcloud("secrets versions add", secret, "--data-file=-")


def deployment(function: Function) -> Iterator[str]:
    """A function's account, its grants, itself, and what `functions deploy` has no flag for."""
    yield from account(function.service_account, function.roles)
    for secret in (*function.secrets.values(), *function.mounts.values()):
        yield gcloud(
            "secrets add-iam-policy-binding",
            secret,
            f"--member={member(function.service_account)}",
            "--role=roles/secretmanager.secretAccessor",
        )
    yield deploy(function)
    probe = (f"--startup-probe={PROBE}",) if function.warm_up else ()
    throttling = "--no-cpu-throttling" if function.billing == "instance" else "--cpu-throttling"
    yield gcloud("run services update", function.name, "--region=$REGION", "--cpu-boost", throttling, *probe, "--quiet")


def deploy(function: Function) -> str:
    """The line that deploys a function."""
    # The variables are parted by | and not by commas: "Example, Inc." is a publisher's name (gcloud topic escaping).
    settings = "|".join(f"{name}={value}" for name, value in function.settings.items())
    mounted = ",".join(f"{name}={secret}:latest" for name, secret in function.mounts.items())
    return gcloud(
        "functions deploy",
        function.name,
        "--gen2",
        "--region=$REGION",
        f"--runtime={function.runtime}",
        "--source=.",
        f"--entry-point={function.entry_point}",
        "--trigger-http",
        "--allow-unauthenticated" if function.allow_unauthenticated else "--no-allow-unauthenticated",
        f"--run-service-account={email(function.service_account)}",
        f"--build-service-account=projects/$PROJECT/serviceAccounts/{email(BUILDER)}",
        f"--memory={function.memory}",
        f"--cpu={function.cpu}",
        f"--concurrency={function.concurrency}",
        f"--min-instances={function.min_instances}",
        f"--max-instances={function.max_instances}",
        f"--timeout={function.timeout_seconds}s",
        f"--ingress-settings={function.ingress}",
        f"--update-env-vars=^|^{settings}",
        *((f"--update-secrets={mounted}",) if mounted else ()),
        "--quiet",
    )


def opening(function: Function) -> str:
    """The line that lets callers without a token in."""
    return gcloud("run services update", function.name, "--region=$REGION", "--update-env-vars=ANONYMOUS_CHAT=on", "--quiet")


def markdown() -> str:
    """The steps as the README shows them."""
    return "\n".join(
        f"**{step.title}.** {step.words}\n\n```sh\n" + "\n".join(folded(line) for line in step.lines) + "\n```\n" for step in steps()
    )


if __name__ == "__main__":
    for step in steps():
        print(f"# {step.title}", *step.lines, sep="\n", end="\n\n")
