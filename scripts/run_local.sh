#!/usr/bin/env bash
# Restore a production-like Aurora cluster on this machine, end to end, without an AWS account: see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
exec .venv/bin/python -m scripts.local_run "$@"
