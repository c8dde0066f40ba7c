#!/usr/bin/env bash
# Build what the template deploys, as zips, with a bill of materials: see --help. `sam build` builds the same without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
exec .venv/bin/python -m scripts.packages "$@"
