"""Rules: pure, standard library and pydantic only. Nothing here opens anything, reads a clock or the environment, or logs."""
