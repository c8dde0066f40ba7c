#!/usr/bin/env bash
# Deploy the pipeline into the AWS account and region that the AWS CLI is set up for.
#
#   ./scripts/deploy.sh --bucket BUCKET [--stack-name NAME] [--parameters FILE] [--yes]
#
# BUCKET holds the code on its way to Lambda. FILE has the template's parameters, as infrastructure/parameters.json has. Without --yes the changes are shown and nothing is changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bucket='' stack=aurora-restore parameters=infrastructure/parameters.json execute=--no-execute-changeset
while [ $# -gt 0 ]; do
  case "$1" in
    --bucket) bucket="${2:?--bucket needs a name}" && shift 2 ;;
    --stack-name) stack="${2:?--stack-name needs a name}" && shift 2 ;;
    --parameters) parameters="${2:?--parameters needs a file}" && shift 2 ;;
    --yes) execute='' && shift ;;
    *) echo "Unknown option '$1'. Usage: ./scripts/deploy.sh --bucket BUCKET [--stack-name NAME] [--parameters FILE] [--yes]" >&2 && exit 2 ;;
  esac
done
[ -n "$bucket" ] || { echo "Name the S3 bucket for the code: --bucket BUCKET" >&2 && exit 2; }
[ -f "$parameters" ] || { echo "The parameter file $parameters doesn't exist. Copy infrastructure/parameters.json and fill it in." >&2 && exit 2; }

source scripts/environment.sh
architecture="$(.venv/bin/python -c 'import json, sys
given = {each["ParameterKey"]: each["ParameterValue"] for each in json.load(open(sys.argv[1]))}
print(given.get("Architecture", "arm64"))' "$parameters")"

./scripts/build_lambda_packages.sh "$architecture"
aws cloudformation package --template-file infrastructure/aurora-restore-pipeline.yaml \
  --s3-bucket "$bucket" --s3-prefix "$stack" --output-template-file build/packaged.yaml >/dev/null
aws cloudformation deploy --template-file build/packaged.yaml --stack-name "$stack" --s3-bucket "$bucket" \
  --s3-prefix "$stack" --capabilities CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset \
  --parameter-overrides "file://$parameters" $execute
[ -n "$execute" ] && echo "Nothing was changed. Look at the change set above, then add --yes." && exit 0
aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].Outputs' --output table
