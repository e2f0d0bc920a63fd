"""A server under measurement: on the first core, everything else on the others, and what its process tree costs by /proc (Linux only)."""

import contextlib
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from tests.emulators import free_port
from tests.world import FRAMEWORK, ROOT, command

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
STARTING_SECONDS = 60.0
STACK = (
    "functions-framework",
    "gunicorn",
    "uvicorn",
    "uvloop",
    "httptools",
    "aiohttp",
    "pydantic",
    "mcp",
    "grpcio",
    "google-cloud-firestore",
)


@dataclass(frozen=True)
class Server:
    """A running server and the tree of its processes."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """The origin."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tree(self) -> list[int]:
        """The ids of the process and of all its descendants."""
        found = [self.pid]
        for pid in found:
            found += [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
        return found

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the tree so far, in user and kernel mode."""
        return sum(_cpu_ticks(pid) for pid in self.tree) / TICKS

    @property
    def pss_mb(self) -> float:
        """Memory of the tree; a page that several processes share counts in parts."""
        return sum(_pss_kb(pid) for pid in self.tree) / 1024

    @property
    def largest_pss_mb(self) -> float:
        """Memory of the largest process of the tree."""
        return max(_pss_kb(pid) for pid in self.tree) / 1024

    @property
    def libraries(self) -> str:
        """What the tree has mapped into memory: shared libraries show there when they are loaded."""
        return "".join(Path(f"/proc/{pid}/maps").read_text() for pid in self.tree)


def keep_off_the_servers_core() -> None:
    """Move this process, and so all that it starts, to the cores that no server under measurement uses."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {min(cores)} or cores)


def on_the_servers_core(arguments: Sequence[str]) -> list[str]:
    """The command that runs `arguments` on the first core."""
    return ["taskset", "-c", "0", *arguments] if shutil.which("taskset") else list(arguments)


@contextlib.contextmanager
def running(arguments: Sequence[str], port: int, environ: Mapping[str, str]) -> Iterator[Server]:
    """A server on the first core until the block ends; nobody has asked it anything yet, and it may not answer yet."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "output").open("wb") as output:
        process = subprocess.Popen(
            on_the_servers_core(arguments),
            env={"PATH": os.environ["PATH"], **environ},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Server(port, process.pid)
        except OSError as error:  # Refused or reset: the server says why, if it has ended.
            if process.poll() is not None:
                error.add_note((Path(folder) / "output").read_text("utf-8", "replace")[-2000:])
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def product(target: str, model: str, *, source: Path = ROOT, **environ: str) -> contextlib.AbstractContextManager[Server]:
    """One of our functions, with its model at the origin `model`. On SQLite, unless `environ` says otherwise."""
    port = free_port()
    settings = {
        "FUNCTION_USE_ASGI": "true",
        "STORE": "sqlite:bench.db",
        "OPENAI_BASE_URL": f"{model}/v1",
        "OPENAI_MODEL": "emulator",
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
    }
    return running(command(target, port, source), port, settings | environ)


def firestore(emulator: str) -> Mapping[str, str]:
    """What starts a product on a Firestore of its own, at Google's emulator."""
    return {"STORE": "firestore", "FIRESTORE_EMULATOR_HOST": emulator, "GOOGLE_CLOUD_PROJECT": f"demo-{secrets.token_hex(4)}"}


def sync_function(name: str, **environ: str) -> contextlib.AbstractContextManager[Server]:
    """A function of this folder that is no product of ours, under the framework as it comes: `hello` or `seed`."""
    port = free_port()
    start = [str(FRAMEWORK), f"--target={name}", f"--source={HERE / name}.py", "--host=127.0.0.1", f"--port={port}"]
    return running(start, port, environ)


def proxy(model: str) -> contextlib.AbstractContextManager[Server]:
    """The bare proxy in front of `model`."""
    port = free_port()
    return running([sys.executable, str(HERE / "proxy.py"), str(port), model], port, {})


def description() -> str:
    """Date, machine and versions, for the head of a report."""
    cpu = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    versions = ", ".join(f"{name} {version(name)}" for name in STACK)
    load = ", ".join(f"{figure:.1f}" for figure in os.getloadavg())
    return (
        f"{date.today()}, {os.cpu_count()} cores ({cpu}), Python {platform.python_version()}; {versions}.\n"  # noqa: DTZ011
        f"Load averages before the first run: {load}."
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _cpu_ticks(pid: int) -> int:
    # proc(5): utime and stime are fields 14 and 15; the name in field 2 may hold spaces, so count behind its parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _pss_kb(pid: int) -> int:
    return next(int(line.split()[1]) for line in _lines(f"/proc/{pid}/smaps_rollup") if line.startswith("Pss:"))
