"""What a reader of the README's deploy lines chooses, and what lies in Secret Manager then."""

from functions.adapters.access_tokens import new_jwks, public_jwks
from functions.adapters.sealing import new_key

SIGNING = new_jwks("k1")

CHOICES = {
    "PROJECT": "my-project",
    "PROJECT_NUMBER": "123456789012",
    "REGION": "us-central1",
    "PUBLIC_BASE_URL": "https://plugin.example.com",
    "GOOGLE_CLIENT_ID": "123456789012-abc.apps.googleusercontent.com",
    "CHATGPT_CLIENT_ID": "chatgpt",
    "TOKEN_PUBLIC_KEYS": public_jwks(SIGNING),
    "PUBLISHER_NAME": "Example, Inc.",
    "CONTACT_EMAIL": "help@example.com",
    "PRIVACY_EMAIL": "privacy@example.com",
}

MOUNTED = {
    "CHATGPT_CLIENT_SECRET": "secret-of-chatgpt-in-the-tests-of-this",
    "GOOGLE_CLIENT_SECRET": "secret-of-google",
    "SEALING_KEYS": new_key("k1"),
    "TOKEN_SIGNING_KEYS": SIGNING,
}
"""Setting -> the value that is mounted under it."""
