"""What slow turns need between the functions: a topic, its push to the worker, a place for what fails, and a sweep each minute."""

from collections.abc import Iterator, Sequence

from functions.routes import ROUTES
from infra.deploy.accounts import account, email, member
from infra.deploy.shell import gcloud
from infra.deploy.table import TURNS_TOPIC, Function

APIS = ("cloudscheduler", "pubsub")

DEAD_TOPIC = "plugin-turns-dead"
"""Where a message goes that failed five times; what only publishes keeps nothing, so a subscription holds it."""

AGENT = "serviceAccount:service-$PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com"
"""Pub/Sub itself, as a grant names it: https://cloud.google.com/iam/docs/service-agents"""

SWEEP = '{"type":"sweep"}'


def slow_turns(functions: Sequence[Function]) -> Iterator[str]:
    """Its lines, for functions of which one is pushed to."""
    yield gcloud("services enable", *(f"{api}.googleapis.com" for api in APIS))
    yield gcloud("pubsub topics create", TURNS_TOPIC, "--message-retention-duration=1d")
    yield gcloud("pubsub topics create", DEAD_TOPIC)
    yield gcloud(
        "pubsub subscriptions create",
        "plugin-turns-dead-hold",
        f"--topic={DEAD_TOPIC}",
        "--message-retention-duration=7d",
        "--expiration-period=never",
    )
    for function in functions:
        if function.publishes:
            yield _grant("pubsub topics", TURNS_TOPIC, member(function.service_account), "roles/pubsub.publisher")
    for function in functions:
        if function.pushed_by:
            yield from _pushed(function, function.pushed_by)
    sweeping = ("--schedule=* * * * *", f"--topic=projects/$PROJECT/topics/{TURNS_TOPIC}", f"--message-body={SWEEP}")
    yield gcloud("scheduler jobs create pubsub", "plugin-sweep", "--location=$REGION", *sweeping)


def _pushed(function: Function, invoker: str) -> Iterator[str]:
    """The push to a function, by an account that may call it and do nothing else.

    https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions, https://cloud.google.com/pubsub/docs/dead-letter-topics
    """
    subscription = "plugin-turns-worker"
    yield from account(invoker, ())
    yield gcloud("functions add-invoker-policy-binding", function.name, "--region=$REGION", f"--member={member(invoker)}")
    yield _grant("iam service-accounts", email(invoker), AGENT, "roles/iam.serviceAccountTokenCreator")
    yield _grant("pubsub topics", DEAD_TOPIC, AGENT, "roles/pubsub.publisher")
    yield gcloud(
        "pubsub subscriptions create",
        subscription,
        f"--topic={TURNS_TOPIC}",
        f"--push-endpoint={function.url}{ROUTES[function.entry_point][0]}",
        f"--push-auth-service-account={function.settings['PUSH_ACCOUNT']}",
        f"--push-auth-token-audience={function.settings['PUSH_AUDIENCE']}",
        "--ack-deadline=600",
        "--min-retry-delay=10s",
        "--max-retry-delay=600s",
        f"--dead-letter-topic={DEAD_TOPIC}",
        "--max-delivery-attempts=5",
        "--message-retention-duration=1d",
        "--expiration-period=never",
    )
    yield _grant("pubsub subscriptions", subscription, AGENT, "roles/pubsub.subscriber")


def _grant(kind: str, name: str, to: str, role: str) -> str:
    return gcloud(f"{kind} add-iam-policy-binding", name, f"--member={to}", f"--role={role}")
