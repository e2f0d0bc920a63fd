"""The least that a sync function can be: the reference for cold starts and memory."""

import flask
import functions_framework


@functions_framework.http
def hello(request: flask.Request) -> str:
    """Answer with two words."""
    return "Hello world"
