"""`make run`: what the runner starts, tells, and takes away again. Real processes throughout."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from infra.environment import Unreadable, environment
from infra.local.google_emulator import CLIENT_ID
from tests.mcp import ERAS, FORECAST, headers, message
from tests.signin import switched_on

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60
STOPPED_SECONDS = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | more


def runner(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "infra.local", "--env-file", "/dev/null", *arguments]


def refused(*arguments: str, **environ: str) -> str:
    """What a runner says that cannot start."""
    ended = subprocess.run(runner(*arguments), cwd=ROOT, env=clean(**environ), capture_output=True, text=True, timeout=READY_SECONDS)
    assert ended.returncode == 1
    return ended.stderr


@dataclass
class World:
    process: subprocess.Popen[str]
    told: str
    """What was printed until it was ready."""

    def all_processes(self) -> list[psutil.Process]:
        ours = psutil.Process(self.process.pid)
        return [ours, *ours.children(recursive=True)]

    def emulator(self, module: str) -> psutil.Process:
        return next(process for process in self.all_processes() if f"infra.local.{module}" in process.cmdline())


@contextlib.contextmanager
def world(folder: Path, **environ: str) -> Iterator[World]:
    """A running local world that keeps its conversations in `folder`."""
    environ = {"STORE": f"sqlite:{folder / 'cantilever.db'}", "PORT": str(free_port())} | environ
    process = subprocess.Popen(
        runner(), cwd=ROOT, env=clean(**environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C stops everything" in line:
                break
        yield World(process, "".join(lines))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOPPED_SECONDS)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as started:
        yield started


def survivors(processes: list[psutil.Process]) -> list[str]:
    """Those that still run some seconds after they should have ended."""
    _, alive = psutil.wait_procs(processes, timeout=STOPPED_SECONDS)
    commands = [" ".join(process.cmdline()) for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    for process in alive:
        process.kill()
    return commands


def test_it_tells_where_everything_is_and_what_is_emulated(running: World) -> None:
    port = re.search(r"answers on http://localhost:(\d+)", running.told)

    assert port
    assert f"http://localhost:{port[1]}/.well-known/ai-plugin.json" in running.told
    assert f"http://localhost:{port[1]}/openapi.json" in running.told
    assert re.search(r"weather at http://127\.0\.0\.1:\d+: Open-Meteo", running.told)
    assert "OPEN_METEO_FORECAST_URL=https://api.open-meteo.com/v1" in running.told
    assert re.search(r"model at http://127\.0\.0\.1:\d+: OpenAI", running.told)
    assert "OPENAI_API_KEY=" in running.told
    assert re.search(r"Google at http://127\.0\.0\.1:\d+: sign-in, Calendar, Docs and Gmail", running.told)
    assert "GOOGLE_CLIENT_ID=" in running.told
    assert re.search(r"Conversations live in \S+/cantilever\.db", running.told)


def test_the_curl_that_it_prints_is_answered_with_a_forecast(running: World) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    curl = next(line for line in running.told.splitlines() if line.strip().startswith("curl"))

    answer = subprocess.run(["sh", "-c", curl], env=clean(), capture_output=True, text=True, timeout=30)

    assert re.search(r"北京\d{4}-\d\d-\d\d：.+°C", answer.stdout), answer.stdout
    assert '"get_weather_forecast"' in answer.stdout


@pytest.mark.parametrize("era", ERAS)
def test_the_mcp_server_that_it_prints_lists_the_tools(running: World, era: str) -> None:
    told = re.search(r"^  mcp +(http://localhost:\d+/mcp)$", running.told, re.M)
    sent = message(era, "tools/list")

    assert told
    answer = httpx.post(told[1], json=sent, headers=headers(era, sent), trust_env=False)

    assert [tool["name"] for tool in answer.json()["result"]["tools"]] == [
        "list_calendar_events",
        "find_free_time",
        "read_document",
        FORECAST,
        "search",
        "fetch",
        "get_profile",
    ]


def test_the_emulated_google_lets_a_person_sign_in_and_leads_back_to_the_product(running: World) -> None:
    google, product = re.search(r"Google at (\S+):", running.told), re.search(r"answers on (\S+)", running.told)
    assert google
    assert product
    back = f"{product[1]}/oauth/callback"
    asked = {"client_id": CLIENT_ID, "redirect_uri": back, "response_type": "code", "scope": "openid", "login_hint": "mei.lin@example.com"}
    challenge = {"code_challenge": "x" * 43, "code_challenge_method": "S256"}

    chosen = httpx.get(f"{google[1]}/o/oauth2/v2/auth", params=asked | challenge, follow_redirects=True, trust_env=False)
    elsewhere = httpx.get(f"{google[1]}/o/oauth2/v2/auth", params=asked | challenge | {"redirect_uri": f"{back}/"}, trust_env=False)

    assert "wants access to your Google Account" in chosen.text
    assert (elsewhere.status_code, "redirect_uri_mismatch" in elsewhere.text) == (400, True)


def test_nothing_listens_beyond_this_machine(running: World) -> None:
    listening = {
        connection.laddr.ip
        for process in running.all_processes()
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }

    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_when_it_is_stopped_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    with world(tmp_path) as started:
        processes = started.all_processes()

        started.process.send_signal(number)
        code = started.process.wait(STOPPED_SECONDS)

        assert len(processes) >= 6  # the runner, three emulators, the product's master and its worker
        assert survivors(processes) == []
        assert code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a program with its parent")
def test_when_it_is_killed_nothing_is_left_either(tmp_path: Path) -> None:
    with world(tmp_path) as started:
        processes = started.all_processes()

        started.process.kill()
        started.process.wait()

        assert survivors(processes) == []


def test_when_an_emulator_dies_it_says_so_and_ends(tmp_path: Path) -> None:
    with world(tmp_path) as started:
        processes = started.all_processes()

        started.emulator("weather_emulator").kill()
        assert started.process.stdout is not None
        said = started.process.stdout.read()

        assert "the weather emulator ended with code -9" in said
        assert started.process.wait(STOPPED_SECONDS) == 1
        assert survivors(processes) == []


def test_what_a_variable_names_is_not_emulated(tmp_path: Path) -> None:
    elsewhere = {
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPEN_METEO_FORECAST_URL": "http://127.0.0.1:9/v1",
        **switched_on(),
    }

    with world(tmp_path, **elsewhere) as started:
        commands = [" ".join(process.cmdline()) for process in started.all_processes()]

    assert not any("model_emulator" in command or "google_emulator" in command for command in commands)
    assert any("weather_emulator" in command for command in commands)
    assert "Real: OPEN_METEO_GEOCODING_URL=https://geocoding-api.open-meteo.com/v1\n" in started.told


def test_every_wrong_setting_is_told_before_anything_starts() -> None:
    said = refused("--port", str(free_port()), STORE="sqlite:", CHAT_BUDGET_SECONDS="soon")

    assert "STORE: must be `firestore` or `sqlite:PATH`" in said
    assert "CHAT_BUDGET_SECONDS" in said


def test_a_port_in_use_is_told_with_the_variable_that_moves_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        said = refused(PORT=str(port))

    assert said.strip() == f"Port {port} is in use. Choose another: make run PORT={port + 1}"


@pytest.mark.parametrize("port", ["web", "0", "65536", "-1"])
def test_a_port_that_is_none_is_told(port: str) -> None:
    said = refused(PORT=port)

    assert f"{port} is no port" in said


def test_firestore_without_java_is_told() -> None:
    said = refused("--port", str(free_port()), STORE="firestore", PATH="/nonexistent")

    assert "STORE=firestore cannot run here: the Firestore emulator needs java, which is not installed" in said
    assert "Without STORE" in said


def test_it_does_not_run_where_google_runs_us() -> None:
    said = refused("--port", str(free_port()), K_SERVICE="chat")

    assert "K_SERVICE is set" in said


def test_the_environment_wins_over_the_file_and_the_empty_counts_as_unset(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# mine\nOPENAI_MODEL=from-file\nexport PORT = '9000'\nPLUGIN_NAME=\"My Plugin\"\n\nSTORE=\nURL=a=b\n", encoding="utf-8"
    )

    environ = environment(file, {"OPENAI_MODEL": "from-environment", "OPENAI_API_KEY": ""})

    assert environ == {"OPENAI_MODEL": "from-environment", "PORT": "9000", "PLUGIN_NAME": "My Plugin", "URL": "a=b"}


def test_a_line_of_the_file_that_makes_no_sense_is_told_by_number_and_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nsk-a-key-pasted-alone\n", encoding="utf-8")

    with pytest.raises(Unreadable) as told:
        environment(file, {})

    assert str(told.value) == ".env, line 2: expected NAME=value"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A clone of the Makefile on a machine whose Pythons can be chosen."""
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "bin").mkdir()
    for program in ("make", "echo", "rm", "touch"):
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or "")
    return tmp_path


def script(folder: Path, name: str, text: str) -> None:
    (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / "bin" / name).chmod(0o755)


def made(folder: Path, *targets: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environ["PATH"] = str(folder / "bin")
    return subprocess.run(["make", *targets], cwd=folder, env=environ, capture_output=True, text=True, timeout=60)


def test_make_without_a_new_enough_python_says_so(bare: Path) -> None:
    script(bare, "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    script(bare, "python3", "exit 1")

    ended = made(bare, "run")

    assert ended.returncode != 0
    assert "No Python 3.11 or newer was found" in ended.stderr
    assert "pyenv" not in ended.stderr


def test_make_without_venv_says_what_to_install_and_leaves_nothing_half_made(bare: Path) -> None:
    script(bare, "python3", '[ "$1" = -c ] && exit 0; mkdir -p .venv/bin; echo "ensurepip is not available"; exit 1')

    ended = made(bare, "run")

    assert ended.returncode != 0
    assert "apt install python3-venv" in ended.stderr
    assert not (bare / ".venv").exists()


def test_make_passes_over_a_python_that_does_not_run_and_without_network_says_so(bare: Path) -> None:
    script(bare, "python3.13", "exit 127")
    script(bare, "python3", f'exec {sys.executable} "$@"')
    (bare / "requirements.txt").write_text("cantilever-has-no-such-package==1\n", encoding="utf-8")
    (bare / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/\nretries = 0\n", encoding="utf-8")

    ended = made(bare, "run", PIP_CONFIG_FILE=str(bare / "pip.conf"))

    assert ended.returncode != 0
    assert "This needs the network once." in ended.stderr
    assert (bare / ".venv/bin/python").exists()
    assert not (bare / ".venv/.runtime").exists()


def test_make_alone_tells_every_target(bare: Path) -> None:
    targets = re.search(r"^\.PHONY: help (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)

    told = made(bare).stdout

    assert targets
    assert [line.split()[1] for line in told.splitlines()] == targets[1].split()
    assert "run" in targets[1]
