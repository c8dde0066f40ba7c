"""What scripts/deploy.sh does: check, build, upload, show the changes, ask, deploy, follow; or take a stack away."""
