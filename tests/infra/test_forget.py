"""An operator deletes a conversation for a user who asks."""

import os
import subprocess
import sys

from tests.world import ROOT, World, started


def forget(world: World, token: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "STORE": world.environ["STORE"]}
    return subprocess.run(
        [sys.executable, "-m", "infra.forget"],
        input=f"{token}\n",
        env=environ,
        cwd=world.folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_conversation_is_forgotten_by_its_token() -> None:
    with started() as world:
        world.ask("Hello", "mine")
        world.ask("Hello", "another")

        ended = forget(world, "mine")
        again = forget(world, "mine")

        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Deleted.\n", "")
        assert world.http.get("/chat/mine").status_code == 404
        assert len(world.http.get("/chat/another").json()["turns"]) == 1
        assert (again.returncode, again.stderr) == (1, "There is no such session.\n")
        assert forget(world, "").returncode == 1
