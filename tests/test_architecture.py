"""The import rule and what follows from it (functions/__init__.py), read off the syntax tree."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EDGES = {"manifest", "auth", "chat", "mcp", "worker", "plugin"}
FOREIGN = {"google", "grpc", "aiohttp", "sqlite3", "tenacity", "cryptography", "joserfc", "nh3", "jinja2", "markupsafe"}
PRODUCT = sorted([ROOT / "main.py", *(ROOT / "functions").rglob("*.py")])

MAY_IMPORT = {
    "core": {"core"},
    "capabilities": {"core", "capabilities"},
    "adapters": {"core", "adapters"},
    "wiring": {"core", "adapters", "wiring"},
    "routes": set(),
    "manifest": {"core", "capabilities", "adapters.http", "wiring", "routes"},
    "auth": {"core", "capabilities", "adapters.http", "wiring", "routes"},
    "chat": {"core", "capabilities", "adapters.http", "wiring", "routes"},
    "mcp": {"core", "capabilities", "adapters.http", "wiring", "routes", "mcp"},
    "worker": {"core", "capabilities", "adapters.http", "wiring", "routes"},
    "plugin": {"manifest", "auth", "chat", "mcp", "adapters.http", "routes"},
    "main": {"core"},
}
"""Part of the house -> parts it may name."""


def part(path: Path) -> str:
    """The part of the house that a file belongs to."""
    relative = path.relative_to(ROOT).with_suffix("")
    return relative.parts[0] if relative.parts[0] == "main" else (relative.parts[1] if len(relative.parts) > 1 else "functions")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file names, and whether it does so late, inside a function."""
    tree = ast.parse(path.read_text("utf-8"))
    late = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "functions":
            yield from ((f"functions.{alias.name}", id(node) in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the part of the house"
            yield f"{node.module}", id(node) in late


def id_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PRODUCT, ids=id_of)
def test_a_module_imports_only_what_its_part_of_the_house_may(path: Path) -> None:
    allowed = MAY_IMPORT.get(part(path), set())

    named = [name.removeprefix("functions.") for name, _ in imports(path) if name.startswith("functions.")]

    assert [name for name in named if not any(name == part or name.startswith(f"{part}.") for part in allowed)] == []


@pytest.mark.parametrize("path", PRODUCT, ids=id_of)
def test_foreign_systems_are_named_by_adapters_alone(path: Path) -> None:
    named = {name.partition(".")[0] for name, _ in imports(path)}

    assert part(path) == "adapters" or named & FOREIGN == set()
    assert part(path) in EDGES or "functions_framework" not in named
    assert part(path) == "mcp" or named & {"mcp", "mcp_types"} == set()


@pytest.mark.parametrize("path", PRODUCT, ids=id_of)
def test_core_needs_the_standard_library_and_pydantic_only(path: Path) -> None:
    if part(path) not in {"core", "capabilities", "routes"}:
        return

    named = {name.partition(".")[0] for name, _ in imports(path)}

    assert named - set(sys.stdlib_module_names) <= {"pydantic", "functions"}
    assert named & {"os", "time", "socket", "logging", "random", "secrets", "subprocess", "pathlib"} == set()


@pytest.mark.parametrize("path", PRODUCT, ids=id_of)
def test_only_main_and_wiring_import_late(path: Path) -> None:
    if part(path) in {"main", "wiring"}:
        return

    assert [name for name, late in imports(path) if late] == []


@pytest.mark.parametrize("path", PRODUCT, ids=id_of)
def test_only_wiring_reads_the_environment(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))

    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "os" for alias in node.names}

    assert part(path) == "wiring" or (attributes | names) & {"environ", "environb", "getenv"} == set()


@pytest.mark.parametrize("path", PRODUCT, ids=id_of)
def test_status_codes_are_known_to_the_http_adapter_alone(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))

    statuses = {str(status.value) for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST}
    faults = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and str(node.value) in statuses]

    assert part(path) == "adapters" or faults == []


SECRETS = re.compile(r"(?i)secret|password|token|verifier|csrf|signature|cookie|challenge$")

COMPARES_ITS_OWN = {"functions/adapters/web.py", "functions/adapters/chat_completions.py"}
"""They ask whether a credential of ours is another one by now: nobody else has a say in either side."""


CODE = re.compile(r"(?i)(?<!status)(?<!error)(?<!exit)(?:^|_)code$")
"""A secret too, unless it is held against what is written in the source, as the code of an error is."""

LOOKS_UP_AN_ERROR = ("functions/core/errors.py", "kind.code == code")
"""By the code that it was told under."""


def secrets_compared(tree: ast.AST) -> list[str]:
    """Comparisons by == or != of what is called as a secret is; core/oauth and the edges use hmac.compare_digest."""
    by_value = [
        node for node in ast.walk(tree) if isinstance(node, ast.Compare) and any(isinstance(sign, ast.Eq | ast.NotEq) for sign in node.ops)
    ]
    return [ast.unparse(node) for node in by_value if any(SECRETS.search(name) for name in names_in(node)) or codes_compared(node)]


def names_in(node: ast.Compare) -> list[str]:
    return [name_of(side) for side in (node.left, *node.comparators)]


def codes_compared(node: ast.Compare) -> bool:
    names = names_in(node)
    written = any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators)) or any(name.isupper() for name in names)
    return not written and any(CODE.search(name) for name in names)


def name_of(side: ast.expr) -> str:
    """What one side of a comparison is called: `code.challenge` is a challenge, `parameters["client_secret"]` a client_secret."""
    match side:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant(value=str(name)), *_]):
            return name
        case ast.Call(func=ast.Attribute(value=inner, attr="encode" | "decode" | "strip" | "get_secret_value")):
            return name_of(inner)
        case _:
            return ""


@pytest.mark.parametrize("path", PRODUCT, ids=id_of)
def test_secrets_are_compared_in_constant_time(path: Path) -> None:
    found = [(id_of(path), compared) for compared in secrets_compared(ast.parse(path.read_text("utf-8")))]

    assert id_of(path) in COMPARES_ITS_OWN or [one for one in found if one != LOOKS_UP_AN_ERROR] == []


@pytest.mark.parametrize(
    "line",
    [
        "token == kept",
        "code.challenge != shown",
        'shown["client_secret"] == secret',
        'form.get("csrf") == expected',
        "verifier.encode() == b",
        "code == kept",
        'shown != parameters["code"]',
        "begun.device_code == shown.decode()",
    ],
)
def test_a_secret_that_is_not_is_found(line: str) -> None:
    assert len(secrets_compared(ast.parse(line))) == 1


@pytest.mark.parametrize(
    "line", ['error.code == "invalid"', "code != INTERNAL_ERROR", "answer.status_code == expected", "error_code == told", "barcode == b"]
)
def test_the_code_of_an_error_is_no_secret(line: str) -> None:
    assert secrets_compared(ast.parse(line)) == []


@pytest.mark.parametrize("path", PRODUCT, ids=id_of)
def test_every_module_says_what_it_is_and_fits_a_reader(path: Path) -> None:
    text = path.read_text("utf-8")

    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 300


@pytest.mark.parametrize("path", PRODUCT, ids=id_of)
def test_exceptions_are_never_swallowed(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))

    caught = [ast.unparse(node.type) if node.type else "everything" for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]

    # The edge; where a developer's code is called; and where the SDK would tell and log what was raised.
    catching_all = {
        "functions/adapters/http/edge.py",
        "functions/adapters/http/life.py",
        "functions/core/capability.py",
        "functions/mcp/__init__.py",
    }
    assert id_of(path) in catching_all or not {"everything", "Exception", "BaseException"} & set(caught)


def loaded_by(function: str) -> set[str]:
    """The top-level modules in a fresh process that was asked for `function`, without site customisation or environment."""
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import main; main.{function}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, env={}, cwd="/")
    return set(ran.stdout.split())


def test_the_manifest_function_starts_light() -> None:
    loaded = loaded_by("manifest")

    assert loaded & {"grpc", "aiohttp", "tenacity", "sqlite3", "mcp", "google.cloud.firestore", "google.auth", "functions.chat"} == set()
    assert len(loaded) < 620, "a budget in modules: the framework alone loads about 410"


def test_the_chat_function_loads_only_the_store_it_uses() -> None:
    loaded = loaded_by("chat")

    assert "functions.adapters.sqlite" in loaded
    assert loaded & {"grpc", "google.cloud.firestore", "google.cloud.secretmanager", "functions.manifest", "mcp", "joserfc"} == set()


def test_the_mcp_function_loads_no_store_without_conversations() -> None:
    loaded = loaded_by("mcp")

    assert "mcp.server.lowlevel" in loaded
    assert loaded & {"grpc", "google.cloud.firestore", "functions.adapters.sqlite", "functions.chat", "functions.manifest"} == set()


@pytest.mark.parametrize("function", ["manifest", "chat", "mcp", "worker"])
def test_the_pages_of_the_sign_in_are_loaded_for_it_alone(function: str) -> None:
    assert "functions.adapters.http.browser" not in loaded_by(function)


def test_every_route_has_endpoints_and_every_endpoint_a_route() -> None:
    from functions import auth, chat, manifest, mcp, plugin, worker
    from functions.routes import ROUTES

    edges = {**plugin.EDGES, "worker": worker.EDGE}
    assert {name: set(edge.endpoints) for name, edge in edges.items()} == {name: set(paths) for name, paths in ROUTES.items()}
    assert plugin.EDGES == {"manifest": manifest.EDGE, "auth": auth.EDGE, "chat": chat.EDGE, "mcp": mcp.EDGE}


def test_every_model_is_made_when_it_is_first_used() -> None:
    bases = {
        f"{path.stem}.{node.name}": {ast.unparse(base) for base in node.bases}
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    }

    assert [name for name, names in bases.items() if "BaseModel" in names] == ["shape.Shape"]
