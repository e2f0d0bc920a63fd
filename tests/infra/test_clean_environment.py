"""With requirements.txt alone, on each Python that a deploy may choose, every function starts as Google starts it.

The environments are made once, under .cache/, and again when requirements.txt changes: only that needs the network.
"""

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest

import main
from infra.deploy.table import FUNCTIONS, Function
from tests.choices import CHOICES, MOUNTED
from tests.emulators import free_port

ROOT = Path(main.__file__).parent
CACHE = ROOT / ".cache" / "environments"

MINORS = ("3.11", "3.13")

FIRST_REQUESTS = {
    "manifest": ("/.well-known/ai-plugin.json", 200, "schema_version"),
    "plugin": ("/.well-known/ai-plugin.json", 200, "schema_version"),
    "auth": ("/oauth", 404, "error"),
    "chat": ("/chat", 405, "error"),
    "mcp": ("/mcp", 405, "error"),
    "worker": ("/pubsub", 405, "error"),
}
"""Entry point -> a path that needs nothing from outside, the status it is answered with, a name in the answer's JSON."""


def interpreter(minor: str) -> str | None:
    """A Python of this minor version: on the PATH, or where pyenv keeps them. A shim may be there and yet start nothing."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python"))
    for candidate in (shutil.which(f"python{minor}"), *map(str, kept)):
        if candidate and run(candidate, "-c", "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])").stdout.strip() == minor:
            return candidate
    return None


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module", params=MINORS)
def environment(request: pytest.FixtureRequest) -> Path:
    """A virtual environment that holds requirements.txt and nothing else."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param} here")
    version = run(python, "-c", "import platform; print(platform.python_version())").stdout.strip()
    key = hashlib.sha256((ROOT / "requirements.txt").read_bytes()).hexdigest()[:16]
    folder = CACHE / f"{version}-{key}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for command in (
            (python, "-m", "venv", folder),
            (folder / "bin/python", "-m", "pip", "install", "--quiet", "-r", ROOT / "requirements.txt"),
        ):
            made = run(*command)
            assert made.returncode == 0, made.stdout
        (folder / "complete").touch()
    return folder


@pytest.fixture(scope="module")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What .gcloudignore lets through, and nothing beside it."""
    folder = tmp_path_factory.mktemp("upload")
    for name in ("main.py", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "functions", folder / "functions", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@dataclass(frozen=True)
class Started:
    """A function's server process, its port and what it logs."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def first_answer(self, path: str) -> tuple[int, Mapping[str, object]]:
        """The first answer that the function gives, as soon as it listens."""
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
                    return response.status, json.load(response)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        pytest.fail(f"The function did not start:\n{self.log.read_text()}")


@contextlib.contextmanager
def started(environment: Path, upload: Path, entry_point: str, environ: Mapping[str, str], log: Path) -> Iterator[Started]:
    """A function, started by the command and the variables that Google's build leaves behind."""
    port = free_port()
    given = {"FUNCTION_TARGET": entry_point, "FUNCTION_SIGNATURE_TYPE": "http", "FUNCTION_USE_ASGI": "true", "PORT": str(port)}
    loopback = {"HOST": "127.0.0.1"}  # The one variable that Google does not set: a test serves this machine alone.
    with log.open("w") as output:
        process = subprocess.Popen(
            [environment / "bin/functions-framework"], cwd=upload, env={**given, **loopback, **environ}, stdout=output, stderr=output
        )
    try:
        yield Started(process, port, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def deployed(function: Function) -> Mapping[str, str]:
    """The variables of a deployed function: what its line sets, and the name that Cloud Run gives it."""
    chosen = {name: Template(value).substitute(CHOICES) for name, value in function.settings.items()}
    return chosen | {name: MOUNTED[name] for name in function.mounts} | {"K_SERVICE": function.name}


def test_the_pins_agree_with_each_other(environment):
    checked = run(environment / "bin/python", "-m", "pip", "check")

    assert checked.returncode == 0, checked.stdout


def test_every_package_is_pinned(environment):
    pinned = re.findall(r"(?m)^([\w-]+==[\w.]+)", (ROOT / "requirements.txt").read_text())

    installed = run(environment / "bin/python", "-m", "pip", "freeze", "--disable-pip-version-check").stdout.splitlines()

    assert sorted(map(canonical, installed)) == sorted(map(canonical, pinned))


def canonical(pin: str) -> str:
    return pin.lower().replace("_", "-")


def test_what_is_uploaded_compiles(environment, upload, tmp_path):
    copy = shutil.copytree(upload, tmp_path / "upload")

    compiled = run(environment / "bin/python", "-m", "compileall", "-q", "main.py", "functions", cwd=copy)

    assert compiled.returncode == 0, compiled.stdout


@pytest.mark.parametrize("entry_point", main.FUNCTIONS)
def test_a_function_answers_with_nothing_but_what_google_sets(environment, upload, entry_point, tmp_path):
    path, status, name = FIRST_REQUESTS[entry_point]

    with started(environment, upload, entry_point, {}, tmp_path / "log") as server:
        answered, document = server.first_answer(path)

    assert answered == status
    assert name in document


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_function_answers_in_production(environment, upload, function, tmp_path):
    first = FIRST_REQUESTS | {"auth": ("/oauth/jwks", 200, "keys")}  # There people can sign in.
    path, status, name = first[function.entry_point]

    with started(environment, upload, function.entry_point, deployed(function), tmp_path / "log") as server:
        answered, document = server.first_answer(path)

    assert answered == status
    assert name in document


def test_a_deployment_that_lacks_a_setting_does_not_start_and_says_which(environment, upload, tmp_path):
    environ = {**deployed(FUNCTIONS[0]), "PUBLISHER_NAME": "", "PUBLIC_BASE_URL": "http://plugin.example.com"}

    with started(environment, upload, "plugin", environ, tmp_path / "log") as server:
        code = server.process.wait(timeout=60)

    assert code != 0
    assert "PUBLISHER_NAME: required" in server.log.read_text()
    assert "PUBLIC_BASE_URL: must be https" in server.log.read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process has loaded is read from /proc")
def test_the_worker_runs_on_uvloop_and_httptools(environment, upload, tmp_path):
    with started(environment, upload, "manifest", {}, tmp_path / "log") as server:
        server.first_answer("/openapi.json")
        loaded = loaded_by(server.process.pid)

    assert "uvloop" in loaded
    assert "httptools" in loaded


def loaded_by(pid: int) -> set[str]:
    """The packages whose compiled code is in the memory of a process's only child, gunicorn's worker."""
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return set(re.findall(r"/site-packages/(\w+)/", Path(f"/proc/{worker}/maps").read_text()))
