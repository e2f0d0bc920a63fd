"""One domain in front of separate functions.

https://cloud.google.com/load-balancing/docs/https/setup-global-ext-https-serverless
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from functions.routes import ROUTES
from infra.deploy.shell import gcloud
from infra.deploy.table import Function

FALLBACK = "manifest"
"""The entry point that answers what no route names: it is the cheapest, and its 404 is in our shape."""


def load_balancer(functions: Sequence[Function]) -> Iterator[str]:
    """Its lines, for these functions; what only Google's own services reach is left out."""
    functions = [function for function in functions if function.ingress != "internal-only"]
    external = ("--global", "--load-balancing-scheme=EXTERNAL_MANAGED")
    for function in functions:
        service = f"--cloud-run-service={function.name}"
        group = (f"--network-endpoint-group={function.name}", "--network-endpoint-group-region=$REGION")
        yield gcloud(
            "compute network-endpoint-groups create", function.name, "--region=$REGION", "--network-endpoint-type=serverless", service
        )
        yield gcloud("compute backend-services create", function.name, *external, "--protocol=HTTPS", "--enable-logging")
        yield gcloud("compute backend-services add-backend", function.name, "--global", *group)
    yield gcloud("compute url-maps import", "plugin", "--global", "--quiet") + f" <<EOF\n{url_map(functions)}EOF"
    yield gcloud("compute addresses create", "plugin", "--global")
    yield gcloud("compute ssl-certificates create", "plugin", "--global", "--domains=${PUBLIC_BASE_URL#https://}")
    yield gcloud("compute target-https-proxies create", "plugin", "--global", "--url-map=plugin", "--ssl-certificates=plugin")
    front = ("--address=plugin", "--target-https-proxy=plugin", "--ports=443")
    yield gcloud("compute forwarding-rules create", "plugin", *external, *front)
    yield gcloud("compute addresses describe", "plugin", "--global", "--format=value(address)")


def url_map(functions: Sequence[Function], routes: Mapping[str, Sequence[str]] = ROUTES) -> str:
    """Which path goes to which function, as YAML for `gcloud compute url-maps import`."""
    backend = {function.entry_point: f"projects/$PROJECT/global/backendServices/{function.name}" for function in functions}
    lines = [
        "name: plugin",
        f"defaultService: {backend[FALLBACK]}",
        "hostRules:",
        '- hosts: ["*"]',
        "  pathMatcher: routes",
        "pathMatchers:",
        "- name: routes",
        f"  defaultService: {backend[FALLBACK]}",
        "  pathRules:",
    ]
    for function, templates in routes.items():
        if function not in backend:
            continue
        # A path rule knows one wildcard, at the end: https://cloud.google.com/load-balancing/docs/url-map-concepts#pm-constraints
        paths = dict.fromkeys(re.sub(r"\{.*", "*", template) for template in templates)
        lines += [f"  - paths: {json.dumps(list(paths))}", f"    service: {backend[function]}"]
    return "\n".join(lines) + "\n"
