#!/usr/bin/env bash
# Build what the template deploys: the layer (utils and the pinned packages, for Lambda's Python 3.13) and a zip for
# each function. The same source gives the same bytes, whatever machine this is and whenever: see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
exec .venv/bin/python -m scripts.packages "$@"
