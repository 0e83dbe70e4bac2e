#!/bin/sh
# bench/run.sh [--full] [--data DIR]: measures spoor and, beside it, the device and SQLite, on the
# device of DIR (default: ./data), and prints a table. The lines it is made of stay in
# build/bench.jsonl, the table in build/bench.md. Some five minutes; with --full, with a log of 10 GiB, 30 M events and 10 M
# streams, half an hour and some 20 GiB of disk.
set -eu
cd "$(dirname "$0")/.."

full=
data=./data
while [ $# -gt 0 ]; do
    case $1 in
    --full) full=yes ;;
    --data)
        data=$2
        shift
        ;;
    *)
        echo 'usage: bench/run.sh [--full] [--data DIR]' >&2
        exit 2
        ;;
    esac
    shift
done

build=${SPOOR_BUILD:-build} # another build folder, for those who develop
spoor=$build/spoor
out=$build/bench.jsonl
: >"$out"

measure() {
    echo "bench: $*" >&2
    "$@" >>"$out"
}

bench() {
    measure "$spoor" bench "$@" --data "$data"
}

ninja -C "$build" bench/sqlite >/dev/null 2>&1 || echo 'bench: no SQLite here to compare with' >&2
ninja -C "$build" bench/micro_project >/dev/null

bench append --outstanding 1 --events 20k
bench append --outstanding 64 --events 1M
bench append --outstanding 1000 --events 4M
bench append --outstanding 1000 --events 2M --ids uuid4
if [ -x "$build/bench/sqlite" ]; then
    measure "$build/bench/sqlite" "$(dirname "$data")" 5000 300000
fi
bench replay --events 3M
bench query --events 2M
measure "$build/bench/micro_project" 1000000 "$(dirname "$data")"
if [ -n "$full" ]; then
    bench append --outstanding 1000 --events 30M --streams 1M
    bench streams --streams 1k,1M,10M
    bench open --bytes 10Gi --streams 1M
else
    bench append --outstanding 1000 --events 5M --streams 170k
    bench streams --streams 1k,1M
    bench open --bytes 1Gi --streams 100k
fi

python3 bench/report.py "$out" | tee "$build/bench.md"
