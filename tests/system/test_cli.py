#!/usr/bin/env python3
"""The command line as people and scripts meet it: help, exit codes, terminals, pipes, completion."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import harness
from harness import SPOOR, events, lines, on_terminal, spoor

EXPECT_HELP = ("serve", "publish", "import", "export", "events", "event", "why", "effects", "stream ls",
               "stream show", "run ls", "run show", "verify", "bench append", "completion", "help")


def commands():
    text = spoor("help").stdout
    listed = re.search(r"Commands:\n(.*?)\n\n", text, re.DOTALL).group(1)
    return [re.match(r"  (\S+(?: \S+)?)  ", line + "  ").group(1) for line in listed.splitlines()]


def options(command):
    text = spoor("help", *command.split()).stdout
    return re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", text, re.MULTILINE)


def small_store(folder):
    """Three events: one caused the next."""
    data = folder / "store"
    for number, kind in enumerate(("order.placed", "order.paid", "order.failed"), 1):
        cause = ("--causation", f"e{number - 1}") if number > 1 else ()
        spoor("publish", kind, json.dumps({"n": number, "text": "line\nbreak"}), "--id",
              f"e{number}", "--source", "agent:shop", "--stream", "order-1", *cause, data=data)
    return data


def help_tells_every_command(_folder):
    names = commands()
    for name in EXPECT_HELP:
        assert name in names, name
    for name in names:
        text = spoor("help", *name.split()).stdout
        assert text.startswith(f"usage: spoor {name}"), text
        assert spoor(*name.split(), "--help").stdout == text
        assert max(map(len, text.splitlines())) <= 100
    assert "stream show" in spoor("help", "stream").stdout
    assert spoor("--help").stdout == spoor("help").stdout


def the_manual_has_every_command_and_option(_folder):
    manual = (harness.SOURCE / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = {title.strip("`"): text for title, text in
                re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", manual, re.MULTILINE | re.DOTALL)}
    common = re.search(r"^## Options of every command\n(.*?)(?=^## )", manual,
                       re.MULTILINE | re.DOTALL).group(1)
    names = commands()
    for name in names:
        title = next((title for title in sections if re.match(rf"{name}(?![a-z-])", title)), None)
        assert title, f"docs/cli.md has no section on {name}"
        for option in options(name):
            assert f"`{option}" in sections[title] + common, f"docs/cli.md: {name} {option}"
        for option in re.findall(r"`(--[a-z0-9-]+)", sections[title]):
            assert option in options(name), f"docs/cli.md: {name} has no {option}"
    for title in sections:
        assert any(re.match(rf"{name}(?![a-z-])", title) for name in names), f"no command {title}"


def wrong_use_is_named_with_the_nearest(folder):
    cases = {
        ("evnts",): "unknown command 'evnts'; did you mean 'events'?",
        ("events", "--tpye", "x"): "did you mean --type?",
        ("stream",): "'stream' needs one of: ls, show",
        ("stream", "sho"): "knows no 'sho', only: ls, show",
        ("events", "more"): "'events' has no use for 'more'",
        ("import",): "'import' needs more: FILE|-",
        ("events", "--limit", "many"): "'many' is no whole number",
        ("completion", "tcsh"): "bash, zsh and fish",
        (): "no command was given",
    }
    for args, text in cases.items():
        done = spoor(*args, code=2)
        assert done.stdout == "" and text in done.stderr, done.stderr
        assert all(line.startswith("spoor: ") for line in done.stderr.splitlines())
    data = small_store(folder)
    for args in (("--filter", "{"), ("--from", "yesterday"), ("--type", "a.>.b"),
                 ("--filter", '{"data.n": {"$gtt": 1}}')):
        done = spoor("events", *args, data=data, code=2)
        assert done.stdout == "", done.stdout


def exit_codes_tell_what_happened(folder):
    data = small_store(folder)
    assert spoor("events", data=folder / "none", code=3).stderr.count("no event store") == 1
    assert not (folder / "none").exists(), "reading makes nothing"
    spoor("event", "e9", data=data, code=3)
    spoor("verify", data=folder / "none", code=3)
    spoor("publish", "order.paid", "--source", "agent:shop", "--stream", "order-1", "--expect", "2",
          data=data, code=4)
    spoor("publish", "order.paid", "--source", "agent:shop", "--stream", "order-1", "--expect",
          "none", data=data, code=4)
    spoor("publish", "order.paid", "--source", "a", "--expect", "x", data=data, code=2)
    spoor("publish", "bad type", "--source", "a", data=data, code=2)
    spoor("publish", "t", "{", "--source", "a", data=data, code=2)
    assert len(events(data)) == 3


def publish_answers_what_was_stored(folder):
    data = folder / "store"
    args = ("publish", "order.paid", '{"n": 1}', "--source", "s", "--stream", "o", "--id", "x",
            "--expect", "none")
    first = lines(spoor(*args, data=data).stdout)[0]
    assert (first["id"], first["position"], first["stream"], first["version"],
            first["duplicate"]) == ("x", 1, "o", 1, False), first
    again = lines(spoor(*args, data=data).stdout)[0]
    assert again == {**first, "duplicate": True}, again
    made = lines(spoor("publish", "a", "--source", "s", data=data).stdout)[0]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                        made["id"]), made
    assert made["stream"] == "s"
    spoor("publish", "a", "-", "--source", "s", "--content-type", "text/plain", "--time",
          "2026-11-20T05:49:12Z", "--correlation", "run", "--causation", "x", "--metadata",
          '{"k": 1}', "--schemaversion", "2", data=data, stdin="some text")
    stored = events(data)[-1]
    assert (stored["data"], stored["datacontenttype"], stored["time"], stored["correlationid"],
            stored["causationid"], stored["metadata"], stored["schemaversion"]) == (
                "some text", "text/plain", "2026-11-20T05:49:12Z", "run", "x", {"k": 1}, "2"), stored


def a_terminal_gets_tables(folder):
    data = small_store(folder)
    for args in (("events",), ("stream", "ls"), ("run", "ls"), ("stream", "show", "order-1"),
                 ("why", "e3"), ("effects", "e1"), ("event", "e1"), ("run", "show", "e1"),
                 ("verify",)):
        code, shown = on_terminal(*args, data=data)
        assert code == 0, (args, shown)
        assert not shown.lstrip().startswith("{"), args
        code, shown = on_terminal(*args, "--json", data=data)
        assert code == 0 and all(json.loads(line) for line in shown.splitlines()), args
        piped = spoor(*args, data=data).stdout
        assert all(json.loads(line) for line in piped.splitlines()), args
        if args != ("verify",):
            assert piped == shown, args
    code, shown = on_terminal("why", "e3", data=data, columns=80)
    rows = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
    assert [row.split()[0] for row in rows] == ["POSITION", "1", "2", "3"], rows
    assert rows[3].index("order.failed") > rows[2].index("order.paid") > rows[1].index("order.placed")
    assert "text=line break" in rows[1] and max(map(len, rows)) <= 80


def colours_are_a_terminals(folder):
    data = small_store(folder)
    assert "\x1b[" in on_terminal("events", data=data)[1]
    assert "\x1b[" not in on_terminal("events", "--no-color", data=data)[1]
    assert "\x1b[" not in on_terminal("events", data=data, environ={"NO_COLOR": "1"})[1]
    assert "\x1b[" not in on_terminal("events", data=data, environ={"TERM": "dumb"})[1]
    assert "\x1b" not in spoor("events", data=data).stdout


def what_agents_write_cannot_take_over_a_terminal(folder):
    data = folder / "store"
    spoor("publish", "a.b", json.dumps({"text": "\x1b]0;owned\x07\x1b[2J"}), "--source",
          "agent:\u202eevil", "--id", "e\u2066x", data=data)
    for args in (("events",), ("event", "1"), ("why", "1"), ("run", "ls"), ("stream", "ls")):
        _, shown = on_terminal(*args, "--no-color", data=data)
        for mark in ("\x1b", "\x07", "\u202e", "\u2066"):
            assert mark not in shown, (args, shown)


def messages_keep_off_stdout(folder):
    data = folder / "store"
    path = folder / "one.jsonl"
    path.write_text('{"type":"a","source":"b"}\n', "utf-8")
    done = spoor("import", path, data=data)
    assert done.stdout == "" and done.stderr.startswith("spoor: 1 event imported"), done.stderr
    done = spoor("import", path, "--quiet", data=data)
    assert done.stdout == "" and done.stderr == ""
    done = spoor("import", path, "--quiet", "--json", data=data)
    assert lines(done.stdout)[0]["known"] == 1


def progress_is_for_terminals(folder):
    path = folder / "many.jsonl"
    harness.make_events(path, 30000)
    assert "\r" not in spoor("import", path, data=folder / "a").stderr
    code, shown = on_terminal("import", path, data=folder / "b")
    assert code == 0 and "30000 events imported" in shown, shown


def a_reader_that_leaves_is_no_failure(folder):
    path = folder / "many.jsonl"
    harness.make_events(path, 20000)
    data = folder / "store"
    spoor("import", path, data=data)
    done = subprocess.run(["bash", "-c", 'set -o pipefail; "$0" events --data "$1" | head -n 1',
                           SPOOR, data], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr)
    assert json.loads(done.stdout)["position"] == 1
    done = subprocess.run(["bash", "-c", '"$0" events --data "$1" >/dev/full', SPOOR, data],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "No space left" in done.stderr, done.stderr


def the_environment_names_the_folder(folder):
    data = small_store(folder)
    done = spoor("events", environ={"SPOOR_DATA": str(data)})
    assert len(lines(done.stdout)) == 3
    cwd = os.getcwd()
    try:
        os.chdir(folder)
        spoor("publish", "a", "--source", "b")
        assert (folder / "data").is_dir()
    finally:
        os.chdir(cwd)


def an_interrupted_import_says_where_it_stands(folder):
    path = folder / "pipe"
    os.mkfifo(path)
    data = folder / "store"
    with subprocess.Popen([SPOOR, "import", path, "--json", "--data", data], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with open(path, "w", encoding="utf-8") as pipe:
            for number in range(1000):
                pipe.write('{"id":"%d","type":"t","source":"s"}\n' % number)
            pipe.flush()
            deadline = time.monotonic() + 20
            while not (data / "MANIFEST").exists() or len(events(data)) < 1000:
                assert time.monotonic() < deadline, "what came is stored before more comes"
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (process.returncode, err)
    assert "interrupted behind line 1000" in err, err
    assert lines(out)[0]["new"] == 1000
    assert len(events(data)) == 1000


def two_writers_do_not_share_a_folder(folder):
    path = folder / "pipe"
    os.mkfifo(path)
    data = small_store(folder)
    with subprocess.Popen([SPOOR, "import", path, "--data", data], stderr=subprocess.PIPE,
                          text=True) as process:
        with open(path, "w", encoding="utf-8") as pipe:
            pipe.write('{"type":"t","source":"s"}\n')
            pipe.flush()
            time.sleep(0.5)
            done = spoor("publish", "a", "--source", "b", data=data, code=1)
            assert str(process.pid) in done.stderr, f"names the holder: {done.stderr}"
            assert len(events(data)) >= 3, "reading works beside a writer"
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(events(data)) == 4


def completion_scripts_are_well_formed(folder):
    for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])):
        script = folder / f"spoor.{shell}"
        script.write_text(spoor("completion", shell).stdout, "utf-8")
        for name in commands():
            assert name.split()[-1] in script.read_text("utf-8"), (shell, name)
        if shutil.which(shell):
            subprocess.run([*check, script], check=True)
    ask = ('source "$0"; COMP_WORDS=(spoor "${@}"); COMP_CWORD=$#; '
           '_spoor spoor "${@: -1}" "x"; printf "%s\\n" "${COMPREPLY[@]}"')
    for words, want in ((["ev"], {"events", "event"}), (["stream", ""], {"ls", "show"}),
                        (["events", "--fr"], {"--from"}), (["run", "show", "--a"], {"--at"}),
                        (["completion", "z"], {"zsh"})):
        done = subprocess.run(["bash", "-c", ask, folder / "spoor.bash", *words], check=True,
                              capture_output=True, text=True)
        assert set(done.stdout.split()) == want, (words, done.stdout)


def benchmarks_answer_in_json_and_leave_nothing(folder):
    data = folder / "data"
    out = lines(spoor("bench", "append", "--events", 2000, "--outstanding", "1,64", data=data).stdout)
    assert [each["outstanding"] for each in out] == [1, 64]
    for each in out:
        assert each["bench"] == "append" and each["events"] == 2000
        for key in ("seconds", "events_per_s", "p50_us", "p99_us", "device_sync_p50_us",
                    "device_sync_p99_us", "device_syncs_per_s", "ratio_to_device"):
            assert each[key] > 0, key
    out = lines(spoor("bench", "replay", "--events", 20000, data=data).stdout)
    assert sum(each["events"] for each in out if each["cache"] == "cold") == 20000
    out = lines(spoor("bench", "query", "--events", 20000, data=data).stdout)
    by_name = {each["lookup"]: each for each in out}
    assert by_name["by_id"]["events"] == by_name["by_id"]["lookups"]
    assert by_name["by_id_unknown"]["events"] == 0
    assert by_name["page_of_type"]["events"] == 10 * by_name["page_of_type"]["lookups"]
    out = lines(spoor("bench", "streams", "--streams", "10,1k", "--events", 2000, data=data).stdout)
    assert [each["streams"] for each in out] == [10, 1000]
    out = lines(spoor("bench", "open", "--bytes", "30Mi", data=data).stdout)
    assert [(each["cache"], each["lost"]) for each in out] == [("warm", 0), ("cold", 0)]
    assert list(folder.iterdir()) == [], "benchmarks remove what they made"


def the_version_is_told(_folder):
    assert re.fullmatch(r"spoor \d+\.\d+\.\d+\n", spoor("version").stdout)
    assert spoor("--version").stdout == spoor("version").stdout
    assert "version" in lines(spoor("version", "--json").stdout)[0]


harness.run(help_tells_every_command, the_manual_has_every_command_and_option,
            wrong_use_is_named_with_the_nearest, exit_codes_tell_what_happened,
            publish_answers_what_was_stored, a_terminal_gets_tables, colours_are_a_terminals,
            what_agents_write_cannot_take_over_a_terminal, messages_keep_off_stdout,
            progress_is_for_terminals, a_reader_that_leaves_is_no_failure,
            the_environment_names_the_folder, an_interrupted_import_says_where_it_stands,
            two_writers_do_not_share_a_folder, completion_scripts_are_well_formed,
            benchmarks_answer_in_json_and_leave_nothing, the_version_is_told)
