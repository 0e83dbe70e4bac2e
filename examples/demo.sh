#!/bin/sh
# A short walk through the command line: two recorded runs of a refund desk. Why was one refund refused?
set -eu
spoor=${SPOOR:-build/spoor}
here=$(dirname "$0")
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT INT TERM

show() {
    printf '\n$ spoor %s\n' "$*"
    "$spoor" "$@" --data "$data"
}

show import "$here/refund.jsonl"
show run ls
# shellcheck disable=SC2016 # the dollar sign is the filter's
show events --type 'refund.*' --filter '{"data.reason": {"$exists": true}}'
show why r1-5
show effects r1-1
show verify
