"""The model's server as a running product reaches it: a connection that is opened before, and a second model for when the first fails."""

from tests.world import started


def test_a_question_is_answered_by_the_fallback_model() -> None:
    with started(OPENAI_MODEL="emulator?fail=500", OPENAI_FALLBACK_MODEL="emulator") as world:
        answer = world.ask("北京明天天气怎么样")

    assert answer["answer"].startswith("北京")
    assert [received.json["model"] for received in world.model_requests if "fail" not in received.json["model"]] == ["emulator"] * 2


def test_the_first_turn_finds_the_connection_to_the_model_open() -> None:
    with started() as world:
        health = world.http.get("/_health")
        world.ask("你好")

    opening, asking = world.model_requests[:2]
    assert health.status_code == 200
    assert (opening.method, opening.path, asking.method) == ("HEAD", "/", "POST")
    assert opening.port == asking.port
