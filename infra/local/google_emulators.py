"""Google's emulators, started from their jars: faster than through gcloud, whose wrapper leaves Java behind when it is stopped."""

import shutil
import subprocess
from pathlib import Path

from infra.local.serving import LOOPBACK

FIRESTORE_JAR = "cloud-firestore-emulator/cloud-firestore-emulator.jar"
FIRESTORE_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
PUBSUB_JAR = "pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Duser.language=en")
"""Ready after 1.1 s in place of 2; the emulators' messages exist in English only, say gcloud's own scripts."""


class Missing(Exception):
    """This machine lacks what an emulator needs; the message names it."""


def firestore(port: int) -> list[str]:
    """What starts Firestore's emulator on a port of the loopback address; `GET /` answers 200 when it is ready.

    Raises:
        Missing: there is no Java, no gcloud, or no emulator in gcloud's folder.
    """
    java, jar = _found("Firestore", FIRESTORE_JAR, "cloud-firestore-emulator")
    return [java, *QUICK, "-cp", jar, FIRESTORE_MAIN, "start", "--host", LOOPBACK, "--port", str(port)]


def pubsub(port: int) -> list[str]:
    """What starts Pub/Sub's emulator on a port of the loopback address; `GET /` answers 200 when it is ready.

    Raises:
        Missing: there is no Java, no gcloud, or no emulator in gcloud's folder.
    """
    java, jar = _found("Pub/Sub", PUBSUB_JAR, "pubsub-emulator")
    return [java, *QUICK, "-jar", jar, f"--host={LOOPBACK}", f"--port={port}"]


def _found(stands_for: str, pattern: str, component: str) -> tuple[str, str]:
    """The Java of this machine, and the emulator's jar below gcloud's folder."""
    java, gcloud = (_program(name, stands_for) for name in ("java", "gcloud"))
    asked = [gcloud, "info", "--format=value(installation.sdk_root)"]
    root = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout.strip()
    jars = sorted((Path(root) / "platform").glob(pattern)) if root else []
    if not jars:
        raise Missing(f"gcloud has no {stands_for} emulator; install it with: gcloud components install {component}")
    return java, str(jars[-1])


def _program(name: str, stands_for: str) -> str:
    found = shutil.which(name)
    if not found:
        raise Missing(f"the {stands_for} emulator needs {name}, which is not installed")
    return found
