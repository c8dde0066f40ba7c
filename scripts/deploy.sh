#!/usr/bin/env bash
# Look for what a deployment would fail on, then `sam build` and `sam deploy`; or take the stack away: see --help.
set -euo pipefail
PROJECT_DIRECTORY="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$PROJECT_DIRECTORY/scripts/environment.sh"
make_sam_venv
export SAM_CLI_TELEMETRY="${SAM_CLI_TELEMETRY:-0}"
PYTHONPATH="$PROJECT_DIRECTORY${PYTHONPATH:+:$PYTHONPATH}" exec "$PROJECT_DIRECTORY/.venv/bin/python" -m scripts.deploy "$@"
