#!/usr/bin/env bash
# The checks, quick ones first: scripts/test.sh [quick | full | series]. What each tier is for: tests/README.md.
# All checks of a tier run, also after a failure; the exit status is red if any did.
# Needs no AWS account, and no network once the packages are installed.
set -uo pipefail
tier="${1:-commit}"
case "$tier" in
  quick | commit | full | series) ;;
  *)
    printf 'Usage: %s [quick | full | series]\n' "$0" >&2
    exit 2
    ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
source scripts/environment.sh

bin=.venv/bin
template=infrastructure/aurora-restore-pipeline.yaml
source_role=infrastructure/source-account-role.yaml
work="$(mktemp -d)"
chmod 711 "$work" # as for /tmp: PostgreSQL may have to run as another user
memory=""
fast="$work"
MEMORY_GIB=16
# The jobs that have begun and not ended yet.
current=""
lanes=()
lane_names=()
failed=()
trap 'stop; rm -rf "$work" ${memory:+"$memory"}' EXIT
trap 'exit 130' INT TERM
export PYTHONDONTWRITEBYTECODE=1

# begin OUTPUT COMMAND...: start a job in a process group of its own (set -m), which `begun` names. In others the shell
# has interrupts ignored, and the tests send some.
begin() {
  set -m
  "${@:2}" >"$1" 2>&1 &
  begun=$!
  set +m
}

# Unlike a command that the shell runs itself, a job that it waits for holds no signal up.
stop() {
  local job
  for job in $current "${lanes[@]}"; do kill -INT -- "-$job" 2>/dev/null; done
  for job in $current "${lanes[@]}"; do wait "$job"; done
}

# check NAME COMMAND...: one line for a check that passes, its whole output for one that does not.
check() {
  begin "$work/output" "${@:2}"
  current=$begun
  report "$1" "$current" "$work/output"
  current=""
}

# begin_lane NAME COMMAND...: the longest checks run beside the others, since each of them waits half of its time for
# processes that it has started. Their lines come last.
begin_lane() {
  begin "$work/lane-${#lanes[@]}" "${@:2}"
  lanes+=("$begun")
  lane_names+=("$1 (begun beside the others)")
}

end_lanes() {
  local number
  for number in "${!lanes[@]}"; do
    report "${lane_names[$number]}" "${lanes[$number]}" "$work/lane-$number"
    unset "lanes[$number]"
  done
}

# report NAME JOB OUTPUT: wait for the job, and print pytest's own closing line where there is one.
report() {
  local began=$SECONDS result=ok closing
  printf '%-48s ' "$1"
  wait "$2" || result=FAILED
  closing="$(grep -E '(passed|failed|error).* in [0-9.]+s' "$3" | tail -n 1 | tr -d '=')"
  printf '%-6s %4d s  %s\n' "$result" $((SECONDS - began)) "$closing"
  if [ "$result" = FAILED ]; then
    failed+=("$1")
    sed 's/^/    /' "$3"
  fi
}

finish() {
  if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED: %s\n' "$(IFS=';' && echo "${failed[*]}")"
    exit 1
  fi
  printf '\nAll checks passed in %d s.\n' "$SECONDS"
  exit 0
}

# tests FOLDER... [OPTION...]: those of this tier; pyproject.toml says which are omitted by default.
tests() {
  case "$tier" in
    full) "$bin/python" -m pytest -q -m "not series" "$@" ;;
    series) "$bin/python" -m pytest -q --durations=0 -m series "$@" ;;
    *) "$bin/python" -m pytest -q "$@" ;;
  esac
}

# Most tests copy and remove databases, and most of that time is the file system's: in memory they take half of it.
make_room_in_memory() {
  local place
  place="$(place_in_memory "$MEMORY_GIB")" || return
  memory="$(mktemp -d -p "$place")"
  chmod 711 "$memory"
  fast="$memory"
}

in_memory() {
  TMPDIR="$fast" "$@"
}

# every_second FIRST FILE...: a file a line, from the one of this number on.
every_second() {
  local first=$1 number
  shift
  for ((number = first + 1; number <= $#; number += 2)); do printf '%s\n' "${!number}"; done
}

bash_syntax() {
  local script
  for script in scripts/*.sh .ci/run; do
    bash -n "$script" || return 1
  done
}

# The pinned translator fills parameters' defaults into the layer's name, whose Fn::Sub has nothing to do then (W1020).
# W3011 is ignored as in the template, which says why.
lint_translated() {
  "$bin/cfn-lint" -c I --ignore-checks W1020 W3011 --template "$work/translated.json"
}

if [ "$tier" = series ]; then
  make_sam_venv
  check "pytest: series" tests tests/integration
  finish
fi

check "ruff: rules" "$bin/ruff" check --quiet .
check "ruff: format" "$bin/ruff" format --check --quiet .
check "bash: syntax" bash_syntax
check "import-linter: who may import whom" "$bin/lint-imports"

if [ "$tier" = quick ]; then
  begin_lane "mypy: strict" "$bin/python" -m scripts.checks.type_check
  make_room_in_memory
  check "pytest: unit" in_memory tests tests/unit
  end_lanes
  finish
fi

make_venv .venv-linters "the linters" requirements-linters.txt
make_sam_venv
make_room_in_memory
export GRANTS_USED="$work/grants" # the whole runs say there which grants they needed
if [ "$tier" = full ]; then
  for half in 0 1; do
    mapfile -t files < <(every_second "$half" tests/integration/pipeline/test_*.py)
    begin_lane "pytest: whole runs, half $((half + 1)) of 2" in_memory tests "${files[@]}"
  done
  "$bin/python" -m scripts.checks.postgres_servers
else
  begin_lane "pytest: whole runs" in_memory tests tests/integration/pipeline
fi
begin_lane "pytest: database roles" in_memory tests tests/integration/postgres
check "deptry: what the layer needs is in it" "$bin/deptry" utils lambda_functions \
  --config scripts/checks/deptry.toml
check "deptry: what aurora-restore promises to need" "$bin/deptry" scripts/aurora_restore
# Tools are used without being imported (DEP002); parliament lives in .venv-linters.
check "deptry: development" "$bin/deptry" scripts tests --config scripts/checks/deptry.toml \
  --requirements-files requirements.in,requirements-dev.txt \
  --per-rule-ignores "DEP001=detect_secrets|parliament" --ignore DEP002
check "mypy: strict, tests and handlers included" "$bin/python" -m scripts.checks.type_check
check "SAM template translated" "$bin/python" -m scripts.checks.expansion "$work"
check "policies written out" "$bin/python" -m scripts.checks.policies "$work"
check "statelint: state machine" "$bin/statelint" --ignore FLOAT,URI "$work/state_machine.asl.json"
check "statelint: expiry machine" "$bin/statelint" --ignore FLOAT,URI "$work/expiry_machine.asl.json"
check "parliament: policies and roles" .venv-linters/bin/python -m scripts.checks.run_parliament "$work"
check "cfn-lint: templates" "$bin/cfn-lint" -c I --template "$template" "$source_role"
check "checkov: template" .venv-linters/bin/python -m scripts.checks.run_checkov "$template"
if [ "$tier" = full ]; then
  check "cfn-lint: translated template" lint_translated
  check "checkov: template of the source's role" .venv-linters/bin/python -m scripts.checks.run_checkov "$source_role"
  check "checkov: translated template" .venv-linters/bin/python -m scripts.checks.run_checkov "$work/translated.json"
fi
check "secrets: none in the repository" .venv-linters/bin/python -m scripts.checks.run_secrets
check "pytest: unit" in_memory tests tests/unit
check "pytest: embedded AWS, deployment, pages" in_memory tests tests/integration \
  --ignore=tests/integration/pipeline --ignore=tests/integration/postgres --ignore=tests/integration/commands
# A short path: that of the certificates in it has to fit into a parameter of the template.
check "pytest: commands" in_memory tests tests/integration/commands --basetemp "$fast/commands"
end_lanes
if [ "$tier" = full ]; then
  check "grants: some run needs each of them" "$bin/python" -m tests.integration.pipeline.grants "$GRANTS_USED"
fi
finish
