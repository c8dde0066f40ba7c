#!/usr/bin/env bash
# Build the layer that the template deploys: utils and the pinned packages, for Lambda's Python 3.13 and one
# architecture, whatever machine this is. The functions themselves need no building: each is its folder.
#
#   ./scripts/build_lambda_packages.sh [arm64|x86_64]      into build/layer/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

architecture="${1:-arm64}"
case "$architecture" in
  arm64) machine=aarch64 ;;
  x86_64) machine=x86_64 ;;
  *)
    echo "Unknown architecture '$architecture'. Use arm64 or x86_64, as in the stack's parameter Architecture." >&2
    exit 2
    ;;
esac

source scripts/environment.sh
rm -rf build/layer
mkdir -p build/layer/python
# Wheels only: what would have to be compiled here would not run there. Lambda's Python 3.13 has glibc 2.34.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --target build/layer/python \
  --only-binary=:all: --implementation cp --python-version 3.13 \
  --platform "manylinux_2_28_$machine" --platform "manylinux2014_$machine" \
  --requirement requirements.txt
rm -rf build/layer/python/bin
cp -R utils build/layer/python/
find build/layer -name __pycache__ -prune -exec rm -rf {} +

# A cold start doubles without bytecode. It must be that of Lambda's Python; zip's coarse times must not outdate it.
if command -v python3.13 >/dev/null 2>&1 && python3.13 -c '' 2>/dev/null; then
  python3.13 -m compileall -q --invalidation-mode unchecked-hash build/layer/python
else
  echo "python3.13 isn't on this machine: the layer is built without bytecode, so cold starts take about twice as long." >&2
fi
printf 'Built build/layer for %s: %s\n' "$architecture" "$(du -sh build/layer | cut -f1)"
