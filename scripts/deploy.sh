#!/usr/bin/env bash
# Deploy the pipeline into the AWS account that the AWS CLI is set up for, update it, or take it away: see --help.
set -euo pipefail
PROJECT_DIRECTORY="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$PROJECT_DIRECTORY/scripts/environment.sh"
PYTHONPATH="$PROJECT_DIRECTORY${PYTHONPATH:+:$PYTHONPATH}" exec "$PROJECT_DIRECTORY/.venv/bin/python" -m scripts.deploy "$@"
