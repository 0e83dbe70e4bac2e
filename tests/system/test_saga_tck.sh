#!/bin/sh
# The kit of cases for sagas, played by the real program: one point for each case.
set -u

out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$SPOOR" saga test --json "$SPOOR_SOURCE/saga-tck" >"$out" 2>&1
code=$?

number=0
while IFS= read -r line; do
    number=$((number + 1))
    name=$(printf '%s\n' "$line" | sed -n 's/.*"case":"\([^"]*\)".*/\1/p')
    case $line in
    *'"result":"passed"'*) echo "ok $number - ${name:-a case}" ;;
    *'"result":"failed"'*)
        echo "not ok $number - ${name:-a case}"
        echo "# $line"
        ;;
    *)
        number=$((number - 1))
        echo "# $line"
        ;;
    esac
done <"$out"

number=$((number + 1))
if [ "$code" -eq 0 ] && [ "$number" -gt 40 ]; then
    echo "ok $number - at least 40 cases are played, and all of them pass"
else
    echo "not ok $number - $((number - 1)) cases were played, exit code $code"
fi
echo "1..$number"
