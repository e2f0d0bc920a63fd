"""The parts of infra/deploy_lines.py."""
