"""Deployment by the SAM CLI: the checks before it, and what to do after it."""
