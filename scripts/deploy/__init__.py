"""Deployment by the SAM CLI, with the checks before it."""
