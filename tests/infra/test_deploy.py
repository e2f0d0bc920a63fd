"""What is deployed, as far as it can be known without a cloud: the lines, the table behind them, the upload, the URL map."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

import pytest

import main
from functions.core.oauth.records import COLLECTIONS as OAUTH
from functions.core.settings import Settings
from functions.worker import NEEDS, RESERVE_SECONDS
from infra.deploy.load_balancer import url_map
from infra.deploy.shell import folded
from infra.deploy.shell import gcloud as gcloud_line
from infra.deploy.table import ALL_IN_ONE, FUNCTIONS, SEPARATE
from infra.deploy_lines import markdown
from tests.choices import CHOICES

ROOT = Path(main.__file__).parent
BASH = shutil.which("bash")
GCLOUD = shutil.which("gcloud")

needs_gcloud = pytest.mark.skipif(GCLOUD is None, reason="gcloud is not installed")

USING = {"google-client-secret", "sealing-keys"}
ISSUING = USING | {"chatgpt-client-secret", "token-signing-keys"}
"""What signs tokens: whoever only verifies them has no such key."""

PUBSUB_ITSELF = "service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"

STAND_IN = """#!{python}
import json, sys
said = sys.stdin.read() if "--data-file=-" in sys.argv or "url-maps" in sys.argv else ""
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv[1:], said]) + "\\n")
if "describe" in sys.argv:
    print("123456789012")
"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Sequence[tuple[list[str], str]]:
    """The arguments and the input that gcloud gets when a reader pastes the README's lines into a shell."""
    if BASH is None:
        pytest.skip("bash is not installed")
    folder = tmp_path_factory.mktemp("shell")
    stand_in, log = folder / "gcloud", folder / "log"
    stand_in.write_text(STAND_IN.format(python=sys.executable, log=str(log)))
    stand_in.chmod(0o755)
    blocks = re.findall(r"```sh\n(.*?)```", markdown(), re.DOTALL)
    (folder / "python").symlink_to(sys.executable)
    environ = {"PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [BASH, "-euc", "\n".join(blocks)], env=environ, input="the-key\nthe-secret\n", text=True, capture_output=True, check=True, cwd=ROOT
    )
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()]


def command_line(arguments: Sequence[str]) -> str:
    """A line that gcloud's linter takes apart as a shell does: it wants the dashes outside the quotes."""
    flags = (argument.partition("=") for argument in arguments)
    return " ".join(["gcloud", *(f"{flag}={shlex.quote(value)}" if equals else shlex.quote(flag) for flag, equals, value in flags)])


def gcloud(*arguments: str, folder: Path, cwd: Path = ROOT) -> str:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "CLOUDSDK_CONFIG": str(folder / "config"), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    return subprocess.run([str(GCLOUD), *arguments], env=env, cwd=cwd, text=True, capture_output=True, check=True).stdout


def option(command: Sequence[str], beginning: str) -> str:
    return next(word.removeprefix(beginning) for word in command if word.startswith(beginning))


def refusals(commands: Sequence[Sequence[str]], folder: Path) -> dict[str, str]:
    """The commands that gcloud's own parser refuses, and why. Its exit code says nothing, so its verdicts are read."""
    listed = [{"command_string": command_line(command)} for command in commands]
    assert listed
    (folder / "commands.json").write_text(json.dumps(listed))
    verdicts = json.loads(gcloud("meta", "lint-gcloud-commands", f"--commands-file={folder / 'commands.json'}", folder=folder))
    assert len(verdicts) == len(listed)
    return {verdict["command_string"]: str(verdict["error_message"]) for verdict in verdicts if verdict["success"] is not True}


@needs_gcloud
def test_gcloud_accepts_every_line_that_a_reader_pastes(calls, tmp_path):
    commands = [arguments for arguments, _ in calls]

    refused = refusals(commands, tmp_path)

    assert refused == {}
    assert sum(command[:2] == ["functions", "deploy"] for command in commands) == len(FUNCTIONS)


@needs_gcloud
def test_a_wrong_flag_is_noticed(tmp_path):
    commands = [["functions", "deploy", "plugin", "--gen2", "--min-instance=1"], ["functions", "list", "--project=my-project"]]

    refused = refusals(commands, tmp_path)

    assert list(refused) == ["gcloud functions deploy plugin --gen2 --min-instance=1"]


def test_the_shell_fills_in_what_a_reader_chose(calls):
    commands = {arguments[2]: arguments for arguments, _ in calls if arguments[:2] == ["functions", "deploy"]}

    variables = option(commands["plugin"], "--update-env-vars=")

    assert variables == (
        "^|^FUNCTION_USE_ASGI=true|GOOGLE_CLIENT_ID=123456789012-abc.apps.googleusercontent.com|CHATGPT_CLIENT_ID=chatgpt"
        "|GOOGLE_CLOUD_PROJECT=my-project"
        "|PUBLIC_BASE_URL=https://plugin-123456789012.us-central1.run.app|PUBLISHER_NAME=Example, Inc."
        "|CONTACT_EMAIL=help@example.com|PRIVACY_EMAIL=privacy@example.com"
        "|OPENAI_API_KEY_SECRET=projects/my-project/secrets/openai-api-key/versions/latest|INSTANCE_BILLING=on"
    )


def test_the_key_is_nobodys_argument(calls):
    given = [(arguments[:4], said) for arguments, said in calls if "the-key" in said]

    assert given == [(["secrets", "versions", "add", "openai-api-key"], "the-key")]
    assert not [arguments for arguments, _ in calls if "the-key" in " ".join(arguments)]


def test_an_account_is_granted_what_its_function_needs_and_no_more(calls):
    commands = [arguments for arguments, _ in calls if "add-iam-policy-binding" in arguments]

    granted = {
        (
            option(command, "--member=serviceAccount:").removesuffix("@my-project.iam.gserviceaccount.com"),
            option(command, "--role="),
            command[command.index("add-iam-policy-binding") + 1],
        )
        for command in commands
    }

    assert granted == {
        ("plugin-build", "roles/artifactregistry.writer", "my-project"),
        ("plugin-build", "roles/logging.logWriter", "my-project"),
        ("plugin-build", "roles/storage.objectViewer", "my-project"),
        ("plugin", "roles/datastore.user", "my-project"),
        ("plugin", "roles/secretmanager.secretAccessor", "openai-api-key"),
        ("plugin-chat", "roles/datastore.user", "my-project"),
        ("plugin-chat", "roles/secretmanager.secretAccessor", "openai-api-key"),
        ("plugin-chat", "roles/pubsub.publisher", "plugin-turns"),
        ("plugin-mcp", "roles/datastore.user", "my-project"),
        ("plugin-mcp", "roles/pubsub.publisher", "plugin-turns"),
        ("plugin-auth", "roles/datastore.user", "my-project"),
        *((name, "roles/secretmanager.secretAccessor", secret) for name in ("plugin", "plugin-auth") for secret in ISSUING),
        *(
            (name, "roles/secretmanager.secretAccessor", secret)
            for name in ("plugin-chat", "plugin-mcp", "plugin-worker")
            for secret in USING
        ),
        ("plugin-worker", "roles/datastore.user", "my-project"),
        ("plugin-worker", "roles/secretmanager.secretAccessor", "openai-api-key"),
        ("plugin-worker", "roles/pubsub.publisher", "plugin-turns"),
        (PUBSUB_ITSELF, "roles/iam.serviceAccountTokenCreator", "plugin-invoker@my-project.iam.gserviceaccount.com"),
        (PUBSUB_ITSELF, "roles/pubsub.publisher", "plugin-turns-dead"),
        (PUBSUB_ITSELF, "roles/pubsub.subscriber", "plugin-turns-worker"),
    }


def test_every_entry_point_is_deployed_once():
    entry_points = [function.entry_point for function in FUNCTIONS]

    assert sorted(entry_points) == sorted(main.FUNCTIONS)


def test_what_keeps_an_instance_warm_costs_money_and_is_chosen_for_each_function():
    warm = {function.name: function.min_instances for function in FUNCTIONS}

    assert warm == {"plugin": 1, "plugin-manifest": 0, "plugin-auth": 0, "plugin-chat": 1, "plugin-mcp": 0, "plugin-worker": 0}


def test_a_processor_between_requests_costs_money_and_is_chosen_for_each_function(calls):
    billing = {function.name: function.billing for function in FUNCTIONS}

    updates = {
        arguments[3]: arguments for arguments, _ in calls if arguments[:3] == ["run", "services", "update"] and "--cpu-boost" in arguments
    }

    assert [name for name, billed in billing.items() if billed == "instance"] == ["plugin", "plugin-chat"]
    assert {name: ("--no-cpu-throttling" in line, "--cpu-throttling" in line) for name, line in updates.items()} == {
        name: (billed == "instance", billed == "request") for name, billed in billing.items()
    }


def test_an_instance_gets_requests_only_once_it_is_warm_where_it_has_something_to_warm(calls):
    updates = {
        arguments[3]: arguments for arguments, _ in calls if arguments[:3] == ["run", "services", "update"] and "--cpu-boost" in arguments
    }

    probed = [name for name, line in updates.items() if any(word.startswith("--startup-probe=") for word in line)]

    assert probed == ["plugin", "plugin-auth", "plugin-chat", "plugin-mcp", "plugin-worker"]
    assert option(updates["plugin-chat"], "--startup-probe=") == (
        "httpGet.path=/_health,httpGet.port=8080,periodSeconds=1,failureThreshold=30,timeoutSeconds=1"
    )


def test_whoever_takes_questions_can_finish_them_or_hand_them_on():
    stranded = [function.name for function in FUNCTIONS if function.secrets and function.billing == "request" and not function.publishes]

    assert stranded == []


def test_pub_sub_pushes_to_the_worker_as_the_worker_expects(calls):
    commands = [arguments for arguments, _ in calls]
    push = next(line for line in commands if line[:4] == ["pubsub", "subscriptions", "create", "plugin-turns-worker"])
    worker = next(line for line in commands if line[:3] == ["functions", "deploy", "plugin-worker"])
    invoker = next(line for line in commands if line[:2] == ["functions", "add-invoker-policy-binding"])

    told = dict(pair.split("=", 1) for pair in option(worker, "--update-env-vars=").removeprefix("^|^").split("|"))

    assert option(push, "--push-endpoint=") == "https://plugin-worker-123456789012.us-central1.run.app/pubsub"
    assert option(push, "--push-auth-token-audience=") == told["PUSH_AUDIENCE"] == "https://plugin-worker-123456789012.us-central1.run.app"
    assert option(push, "--push-auth-service-account=") == told["PUSH_ACCOUNT"] == "plugin-invoker@my-project.iam.gserviceaccount.com"
    assert (invoker[2], option(invoker, "--member=")) == ("plugin-worker", f"serviceAccount:{told['PUSH_ACCOUNT']}")
    assert "--no-allow-unauthenticated" in worker
    assert set(NEEDS) <= set(told)
    assert told["TURNS_TOPIC"] == f"projects/my-project/topics/{option(push, '--topic=')}"
    assert (option(push, "--dead-letter-topic="), option(push, "--max-delivery-attempts=")) == ("plugin-turns-dead", "5")
    longest = 150 + RESERVE_SECONDS  # TURN_SECONDS at its most
    assert longest < int(option(worker, "--timeout=").removesuffix("s")) < int(option(push, "--ack-deadline=")) == 600


def test_the_sweep_comes_every_minute_and_names_nobody(calls):
    (job,) = [arguments for arguments, _ in calls if arguments[:2] == ["scheduler", "jobs"]]

    assert option(job, "--schedule=") == "* * * * *"
    assert option(job, "--topic=") == "projects/my-project/topics/plugin-turns"
    assert json.loads(option(job, "--message-body=")) == {"type": "sweep"}


def test_what_expires_is_deleted(calls):
    policies = [arguments for arguments, _ in calls if arguments[:4] == ["firestore", "fields", "ttls", "update"]]

    assert [option(line, "--collection-group=") for line in policies] == ["conversations", "turns", "quarantine", "spend", *OAUTH]
    assert all(line[4] == "expires_at" and "--enable-ttl" in line for line in policies)


def test_separate_functions_are_reached_through_the_load_balancer_alone():
    ingress = {function.name: function.ingress for function in FUNCTIONS}

    assert ingress.pop("plugin") == "all"
    assert ingress.pop("plugin-worker") == "internal-only"
    assert set(ingress.values()) == {"internal-and-gclb"}


def test_the_load_balancer_does_not_know_the_worker(calls):
    lines = [" ".join(arguments) + said for arguments, said in calls if arguments[0] == "compute"]

    assert [line for line in lines if "worker" in line or "/pubsub" in line] == []
    assert any("plugin-mcp" in line for line in lines)


def test_every_function_has_an_account_of_its_own():
    accounts = [function.service_account for function in FUNCTIONS]

    assert len(set(accounts)) == len(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
class TestWhatGcloudDoesNotCheck:
    def test_the_names_are_ones_that_google_takes(self, function):
        # Google renames a service with other characters, and takes accounts of 6 to 30: https://cloud.google.com/iam/docs/service-accounts-create
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,47}[a-z0-9]", function.name)
        assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", function.service_account)
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,255}", secret) for secret in function.secrets.values())

    def test_the_runtime_is_one_that_we_test(self, function):
        assert function.runtime == "python313"

    def test_the_size_is_one_that_cloud_run_has(self, function):
        # https://cloud.google.com/run/docs/configuring/services/cpu
        assert re.fullmatch(r"[1-9]\d*(Mi|Gi)", function.memory)
        assert function.concurrency == 1 or function.cpu >= 1
        assert 1 <= function.concurrency <= 1000
        assert function.min_instances <= function.max_instances

    def test_instance_based_billing_is_for_instances_of_half_a_gibibyte(self, function):
        # https://cloud.google.com/run/docs/configuring/services/memory-limits
        assert function.billing in ("instance", "request")
        assert function.billing == "request" or (function.memory == "512Mi" or function.memory.endswith("Gi"))

    def test_the_platform_waits_longer_than_we_do(self, function):
        # CHAT_BUDGET_SECONDS may be 40; an HTTP function may take an hour.
        longest = 40 if function.secrets else 5

        assert longest < function.timeout_seconds <= 3600

    def test_the_framework_runs_it_as_asgi(self, function):
        assert function.settings["FUNCTION_USE_ASGI"] == "true"

    def test_a_secret_is_named_and_not_told(self, function):
        assert "OPENAI_API_KEY" not in function.settings
        assert {name for name, value in function.env.items() if not value.startswith("$")} <= {"FUNCTION_USE_ASGI", "FORWARDED_HOPS"}
        assert not {"GOOGLE_CLIENT_SECRET", "CHATGPT_CLIENT_SECRET", "SEALING_KEYS", "TOKEN_SIGNING_KEYS"} & set(function.settings)
        assert function.settings.get("OPENAI_API_KEY_SECRET", "") in ("", "projects/$PROJECT/secrets/openai-api-key/versions/latest")

    def test_the_variables_are_settings_and_enough_to_start_in_production(self, function):
        environ = {name: Template(value).substitute(CHOICES) for name, value in function.settings.items()}

        settings = Settings.read({**environ, "K_SERVICE": function.name}, needs=NEEDS if function.entry_point == "worker" else ())

        assert settings.deployed
        assert settings.instance_billing == (function.billing == "instance")
        assert not set(environ) - {"FUNCTION_USE_ASGI"} - {field.alias for field in Settings.model_fields.values()}


@needs_gcloud
def test_only_what_runs_is_uploaded(tmp_path):
    shutil.copy(ROOT / ".gcloudignore", tmp_path)
    for path in (
        "main.py",
        "requirements.txt",
        "functions/chat.py",
        "functions/assets/logo.png",
        "functions/__pycache__/chat.cpython-313.pyc",
        "functions/.env",
        ".env",
        ".env.local",
        ".venv/lib/main.py",
        "venv/lib/main.py",
        ".cache/x",
        ".local/cantilever.db",
        ".git/config",
        "infra/functions.json",
        "tests/functions/main.py",
        "tests/requirements.txt",
        "node_modules/functions/main.py",
        "README.md",
        "pyproject.toml",
        "Makefile",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")

    uploaded = gcloud("meta", "list-files-for-upload", ".", folder=tmp_path, cwd=tmp_path).splitlines()

    assert sorted(uploaded) == ["functions/assets/logo.png", "functions/chat.py", "main.py", "requirements.txt"]


@needs_gcloud
def test_everything_that_runs_is_uploaded(tmp_path):
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "functions").rglob("*.py")}

    uploaded = set(gcloud("meta", "list-files-for-upload", ".", folder=tmp_path).splitlines())

    assert uploaded >= sources | {"main.py", "requirements.txt"}
    assert all(path in ("main.py", "requirements.txt") or path.startswith("functions/") for path in uploaded)


def test_a_path_goes_to_the_function_that_serves_it():
    routes = {"manifest": ("/openapi.json",), "chat": ("/chat", "/chat/{session_id}", "/tools/{operation}")}

    written = url_map(SEPARATE, routes)

    assert written == (
        "name: plugin\n"
        "defaultService: projects/$PROJECT/global/backendServices/plugin-manifest\n"
        "hostRules:\n"
        '- hosts: ["*"]\n'
        "  pathMatcher: routes\n"
        "pathMatchers:\n"
        "- name: routes\n"
        "  defaultService: projects/$PROJECT/global/backendServices/plugin-manifest\n"
        "  pathRules:\n"
        '  - paths: ["/openapi.json"]\n'
        "    service: projects/$PROJECT/global/backendServices/plugin-manifest\n"
        '  - paths: ["/chat", "/chat/*", "/tools/*"]\n'
        "    service: projects/$PROJECT/global/backendServices/plugin-chat\n"
    )


AS_GCLOUD_READS_IT = """
import sys
sys.path[:0] = [sys.argv[1] + "/lib", sys.argv[1] + "/lib/third_party"]
from googlecloudsdk.api_lib.util import apis
from googlecloudsdk.command_lib.export import util
messages = apis.GetMessagesModule("compute", "v1")
read = util.Import(message_type=messages.UrlMap, stream=sys.stdin, schema_path=util.GetSchemaPath("compute", "v1", "UrlMap"))
print([path for rule in read.pathMatchers[0].pathRules for path in rule.paths])
"""


def as_gcloud_reads(written: str, folder: Path) -> subprocess.CompletedProcess[str]:
    place = json.loads(gcloud("info", "--format=json(installation.sdk_root,basic.python_location)", folder=folder))
    command = [place["basic"]["python_location"], "-c", AS_GCLOUD_READS_IT, place["installation"]["sdk_root"]]
    return subprocess.run(command, input=written, text=True, capture_output=True, env={"CLOUDSDK_CONFIG": str(folder / "config")})


@needs_gcloud
def test_the_url_map_is_one_that_gcloud_imports(calls, tmp_path):
    written = next(said for arguments, said in calls if "url-maps" in arguments)

    read = as_gcloud_reads(written, tmp_path)

    assert read.returncode == 0, read.stderr
    assert "'/.well-known/ai-plugin.json'" in read.stdout
    assert "'/chat', '/answer', '/chat/*', '/tools/*'" in read.stdout


@needs_gcloud
def test_a_misspelt_url_map_is_noticed(tmp_path):
    written = url_map(SEPARATE).replace("pathRules", "pathRulez")

    read = as_gcloud_reads(written, tmp_path)

    assert read.returncode != 0
    assert "pathRulez" in read.stderr


def test_one_function_is_the_whole_plugin():
    assert ALL_IN_ONE.name == "plugin"
    assert [function.entry_point for function in SEPARATE] == ["manifest", "auth", "chat", "mcp", "worker"]


def test_a_folded_line_says_what_the_line_says():
    line = gcloud_line("scheduler jobs create pubsub", *[f"--flag-{number}=a b" for number in range(20)], "--schedule=* * * * *")

    assert max(len(part) for part in folded(line).splitlines()) <= 122
    assert shlex.split(folded(line).replace("\\\n", "")) == shlex.split(line)
    assert "--schedule=* * * * *" in shlex.split(line)
