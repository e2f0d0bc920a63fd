"""A share of the odd calls to the authorization server; in full: `python -m tests.functions.odd_calls 20000`."""

from tests.functions import odd_calls


async def test_odd_calls_end_in_an_answer_of_the_right_form() -> None:
    statuses = await odd_calls.fuzz(500)

    for endpoint in odd_calls.ENDPOINTS:
        met = {status for name, status in statuses if name == endpoint}
        assert met & {200, 201, 303}, "some calls are in order in spite of all"
        assert any(400 <= status < 500 for status in met)
