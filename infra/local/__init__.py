"""The local world: emulators of what lies outside, on loopback, and the runner that starts them (`python -m infra.local`)."""
