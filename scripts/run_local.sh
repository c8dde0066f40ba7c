#!/usr/bin/env bash
# Restore a production-like Aurora cluster on this machine, end to end, without an AWS account: see --help.
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
typed_in="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

# Databases are copied and removed, which is quicker in memory. TMPDIR names another place.
if [ -z "${TMPDIR:-}" ] && place="$(place_in_memory 8)"; then export TMPDIR="$place"; fi

# The person who types this may have a proxy, a profile, a PostgreSQL service, certificates of their own: in the environment or
# below their home. None of it may reach the embedded AWS, which is all on this machine: only these pass.
kept=(RUN_LOCAL_TYPED_IN="$typed_in" HOME=/dev/null AWS_EC2_METADATA_DISABLED=true PYTHONUTF8=1 TZ=UTC)
for name in PATH TMPDIR TERM COLORTERM COLUMNS LINES NO_COLOR FORCE_COLOR PYTHONDONTWRITEBYTECODE ${!LOCAL_AWS_@}; do
  [ -n "${!name+set}" ] && kept+=("$name=${!name}")
done
trap '' INT # Python would answer it with a traceback until the command listens (local_run/__main__.py)
exec env -i "${kept[@]}" .venv/bin/python -m scripts.local_run "$@"
