#!/usr/bin/env bash
# Every check that CI runs, quick ones first. All of them run, whatever fails; the exit status is red if any did.
# With "series", only the tests that repeat at length; with "full", only the siblings of attacks and many runs at once.
# Needs no AWS account, and no network once the packages are installed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
source scripts/environment.sh
make_venv .venv-linters "the linters" requirements-linters.txt

bin=.venv/bin

# What only repeats at length (the last of its kind is quick, and runs below), and what is long because there is much of
# it at once.
if [ "${1:-}" = series ] || [ "${1:-}" = full ]; then
  exec "$bin/python" -m pytest -q --durations=0 -m "$1" tests/integration
fi
template=infrastructure/aurora-restore-pipeline.yaml
source_role=infrastructure/source-account-role.yaml
work="$(mktemp -d)"
beside=""
memory=""
MEMORY_GIB=12
trap 'stop_beside; rm -rf "$work" ${memory:+"$memory"}' EXIT
trap 'exit 130' INT TERM
export PYTHONDONTWRITEBYTECODE=1
failed=()

# check NAME COMMAND...: one line for a check that passes, its whole output for one that doesn't.
check() {
  local began=$SECONDS status=0
  printf '%-48s ' "$1"
  "${@:2}" >"$work/output" 2>&1 || status=$?
  report "$1" "$status" $((SECONDS - began)) "$work/output"
}

# Half of all the time that the checks need; what else is in tests/integration is quicker.
whole_runs=(tests/integration/pipeline)

# The longest check runs beside the others, for machines with two processors; its line comes last. A job of its own
# (set -m): in others the shell has interrupts ignored, and the tests send some.
begin_beside() {
  set -m
  "$@" >"$work/beside" 2>&1 &
  beside=$!
  set +m
}

end_beside() {
  local began=$SECONDS status=0
  printf '%-48s ' "$1"
  wait "$beside" || status=$?
  beside=""
  report "$1" "$status" $((SECONDS - began)) "$work/beside"
}

stop_beside() {
  [ -z "$beside" ] && return
  kill -INT "$beside" 2>/dev/null
  wait "$beside"
}

# report NAME STATUS SECONDS OUTPUT, with pytest's own closing line where there is one.
report() {
  local result=ok closing
  [ "$2" -eq 0 ] || result=FAILED
  closing="$(grep -E '(passed|failed|error).* in [0-9.]+s' "$4" | tail -n 1 | tr -d '=')"
  printf '%-6s %4d s  %s\n' "$result" "$3" "$closing"
  if [ "$result" = FAILED ]; then
    failed+=("$1")
    sed 's/^/    /' "$4"
  fi
}

# These tests copy and remove small databases by the hundred, and most of their time is the file system's: in memory
# they take half of it, where there is plenty.
in_memory() {
  local room=0 free=0
  [ -w /dev/shm ] && room="$(df --output=avail -B1G /dev/shm | tail -n 1)"
  [ -r /proc/meminfo ] && free="$(awk '/^MemAvailable/ { print int($2 / 1024 / 1024) }' /proc/meminfo)"
  if [ "$room" -ge "$MEMORY_GIB" ] && [ "$free" -ge "$MEMORY_GIB" ]; then
    memory="$(mktemp -d -p /dev/shm)"
    chmod 711 "$memory" # as for /tmp: PostgreSQL may have to run as somebody else
  fi
  if [ -n "$memory" ] && runs_programs "$memory"; then
    TMPDIR="$memory" "$@"
  else
    "$@"
  fi
}

# Containers often mount /dev/shm noexec, and some tests start what they have written.
runs_programs() {
  cp "$(type -P true)" "$1/true" && "$1/true" 2>/dev/null
}

bash_syntax() {
  local script
  for script in scripts/*.sh .ci/run; do
    bash -n "$script" || return 1
  done
}

# The pinned translator fills parameters' defaults into the layer's name, whose Fn::Sub has nothing to do then (W1020).
# W3011 is left out as in the template, which says why.
lint_translated() {
  "$bin/cfn-lint" -c I --ignore-checks W1020 W3011 --template "$work/translated.json"
}

check "ruff: rules" "$bin/ruff" check --quiet .
check "ruff: format" "$bin/ruff" format --check --quiet .
check "bash: syntax" bash_syntax
check "import-linter: who may import whom" "$bin/lint-imports"
check "deptry: what the layer needs is in it" "$bin/deptry" utils lambda_functions
# Tools are used without being imported (DEP002); parliament lives in .venv-linters.
check "deptry: development" "$bin/deptry" scripts tests --requirements-files requirements.in,requirements-dev.txt \
  --per-rule-ignores "DEP001=detect_secrets|parliament" --ignore DEP002
check "mypy: strict, tests and handlers included" "$bin/python" -m scripts.checks.type_check
begin_beside "$bin/python" -m pytest -q "${whole_runs[@]}"
check "SAM template translated" "$bin/python" -m scripts.checks.expansion "$work"
check "policies written out" "$bin/python" -m scripts.checks.policies "$work"
check "statelint: state machine" "$bin/statelint" --ignore FLOAT,URI "$work/state_machine.asl.json"
check "parliament: policies and roles" .venv-linters/bin/python -m scripts.checks.run_parliament "$work"
check "cfn-lint: templates" "$bin/cfn-lint" -c I --template "$template" "$source_role"
check "cfn-lint: translated template" lint_translated
check "checkov: template" .venv-linters/bin/python -m scripts.checks.run_checkov "$template"
check "checkov: template of the source's role" .venv-linters/bin/python -m scripts.checks.run_checkov "$source_role"
check "checkov: translated template" .venv-linters/bin/python -m scripts.checks.run_checkov "$work/translated.json"
check "secrets: none in the repository" .venv-linters/bin/python -m scripts.checks.run_secrets
check "pytest: unit" "$bin/python" -m pytest -q tests/unit
"$bin/python" -m scripts.checks.postgres_servers
check "pytest: embedded AWS, database roles" in_memory "$bin/python" -m pytest -q tests/integration \
  "${whole_runs[@]/#/--ignore=}" --ignore=tests/integration/commands
check "pytest: commands" "$bin/python" -m pytest -q tests/integration/commands
end_beside "pytest: whole runs (begun beside the others)"

if [ ${#failed[@]} -gt 0 ]; then
  printf '\nFAILED: %s\n' "$(IFS=';' && echo "${failed[*]}")"
  exit 1
fi
printf '\nAll checks passed in %d s.\n' "$SECONDS"
