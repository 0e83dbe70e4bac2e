#!/usr/bin/env python3
"""Makes a table of the JSON lines of bench/run.sh: what was measured, and the targets it is held to.

usage: report.py FILE
"""
import json
import os
import platform
import sys


def load(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def pick(lines, bench, **want):
    """The first line of a benchmark that has these values; None where it is missing."""
    for line in lines:
        if line["bench"] == bench and all(line.get(key) == value for key, value in want.items()):
            return line
    return None


def short(number):
    if number is None:
        return "-"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:.2f}" if abs(number) < 100 else f"{number:.0f}"


class Table:
    def __init__(self, title, *columns):
        print(f"\n## {title}\n")
        self.row(*columns)
        self.row(*("---" for _ in columns))

    @staticmethod
    def row(*cells):
        print("| " + " | ".join(str(cell) for cell in cells) + " |")


def verdict(value, floor, aim, more_is_better=True):
    if value is None:
        return "not measured"
    good = (lambda target: value >= target) if more_is_better else (lambda target: value <= target)
    return "aim met" if good(aim) else "floor met" if good(floor) else "**missed**"


def targets(lines):
    """(what, value, unit, floor, aim, more is better) of each target."""
    def value(key, bench, **want):
        line = pick(lines, bench, **want)
        return line.get(key) if line else None

    sqlite = value("events_per_s", "sqlite_append", batch=1000)
    thousand = value("events_per_s", "append", outstanding=1000, ids="store")
    memory = [line for line in lines if line["bench"] == "append" and line["streams"] > 10000]
    yield ("1 outstanding, of the device's own synced 4 KiB writes",
           value("ratio_to_device", "append", outstanding=1), "x", 0.75, 0.9, True)
    yield "64 outstanding", value("events_per_s", "append", outstanding=64), "/s", 400e3, 550e3, True
    yield "1000 outstanding", thousand, "/s", 1.5e6, 2.5e6, True
    yield ("1000 outstanding, of SQLite in batches of 1000",
           thousand / sqlite if thousand and sqlite else None, "x", 15, 30, True)
    for segments, cache, floor, aim in (("open", "cold", 6e6, 10e6), ("open", "warm", 20e6, 40e6),
                                        ("sealed", "cold", 4e6, 6e6), ("sealed", "warm", 4e6, 6e6)):
        yield (f"replay of {segments} segments, {cache}, one core",
               value("events_per_s", "replay", segments=segments, cache=cache), "/s", floor, aim, True)
    for cache in ("warm", "cold"):
        line = pick(lines, "open", cache=cache)
        size = f" ({line['bytes_on_disk'] / 2**30:.1f} GiB)" if line else ""
        yield (f"open after kill -9, {cache}{size}", line["seconds"] if line else None, "s", 1, 0.3,
               False)
    if memory:
        line = memory[0]
        yield (f"memory at {short(line['position'])} events, {short(line['streams'])} streams",
               line["rss_mib"], "MiB", 400, 200, False)
    yield ("bytes per sealed event of 300, with index and hashes",
           value("bytes_per_sealed_event", "append", outstanding=1000, ids="store"), "B", 110, 80,
           False)
    for lookup in ("by_id", "page_of_stream", "page_of_type", "page_of_correlation"):
        line = pick(lines, "query", lookup=lookup)
        yield (f"{lookup.replace('_', ' ')}, p99", line["p99_us"] / 1000 if line else None, "ms", 1,
               0.2, False)
    for line in lines:
        if line["bench"] == "streams" and line["ratio_to_first"] != 1:
            yield (f"appends at {short(line['streams'])} streams, of those at 1 k",
                   line["ratio_to_first"], "x", 0.7, 0.9, True)
    for line in lines:
        if line["bench"] == "project" and line["sink"] == "sqlite":
            rare = line["wanted_percent"] < 50
            yield (f"projecting {line['projection']} on SQLite, {line['wanted_percent']} % of the "
                   "events wanted", line["events_per_s"], "/s", 3e6 if rare else 200e3,
                   10e6 if rare else 400e3, True)


def show_targets(lines):
    table = Table("Targets", "what", "measured", "floor", "aim", "")
    for what, value, unit, floor, aim, more in targets(lines):
        table.row(what, f"{short(value)} {unit}", short(floor), short(aim),
                  verdict(value, floor, aim, more))


def show_appends(lines):
    table = Table("Appends, acknowledged once durable", "outstanding", "ids", "streams", "events",
                  "events/s", "CPU us/event", "p50 us", "p99 us", "device syncs/s", "B/event sealed",
                  "RSS MiB")
    for line in lines:
        if line["bench"] == "append":
            table.row(line["outstanding"], line["ids"], short(line["streams"]), short(line["events"]),
                      short(line["events_per_s"]), short(line["cpu_seconds"] / line["events"] * 1e6),
                      short(line["p50_us"]), short(line["p99_us"]), short(line["device_syncs_per_s"]), short(line.get("bytes_per_sealed_event")),
                      short(line["rss_mib"]))
        elif line["bench"] == "sqlite_append":
            table.row(f"SQLite, batches of {line['batch']}", "uuid4", "-", short(line["events"]),
                      short(line["events_per_s"]), "-", "-", "-", "-", "-", "-")


def show_reads(lines):
    table = Table("Reading everything", "what", "events", "events/s", "events/CPU s")
    for line in lines:
        if line["bench"] == "replay":
            table.row(f"{line['segments']} segments, {line['cache']}", short(line["events"]),
                      short(line["events_per_s"]), short(line["events"] / line["cpu_seconds"]))
        elif line["bench"] == "sqlite_replay":
            table.row("SQLite, warm", short(line["events"]), short(line["events_per_s"]), "-")
    table = Table("Projecting into SQLite", "projection", "wanted", "where", "events/s",
                  "events/CPU s")
    for line in lines:
        if line["bench"] == "project":
            table.row(line["projection"], f"{line['wanted_percent']} %", line["sink"],
                      short(line["events_per_s"]), short(line["events"] / line["cpu_seconds"]))
    table = Table("Lookups", "what", "lookups/s", "CPU us", "p50 us", "p99 us")
    for line in lines:
        if line["bench"] == "query":
            table.row(line["lookup"].replace("_", " "), short(line["lookups_per_s"]),
                      short(line["cpu_us_per_lookup"]), short(line["p50_us"]), short(line["p99_us"]))


def main():
    lines = load(sys.argv[1])
    print(f"# Measurements\n\n{platform.machine()}, {os.cpu_count()} cores, {platform.system()} "
          f"{platform.release()}; events of 300 bytes; the producer runs on the same cores.")
    show_targets(lines)
    show_appends(lines)
    show_reads(lines)


if __name__ == "__main__":
    main()
