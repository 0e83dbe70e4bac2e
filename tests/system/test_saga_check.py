#!/usr/bin/env python3
"""saga check: what it says of good definitions and of bad ones, in files of either kind."""
import json
import re

from harness import SOURCE, lines, run, spoor


def good(*files):
    rows = lines(spoor("saga", "check", *files, "--json").stdout)
    for row in rows:
        assert row["valid"] and not row["problems"], row
    return rows


def the_examples_are_good(_folder):
    files = sorted((SOURCE / "examples/sagas").glob("*.yaml"))
    rows = good(*files)
    assert [row["saga"] for row in rows] == ["book-demo", "order-fulfilment", "rollback"], rows
    assert [row["steps"] for row in rows] == [5, 4, 5], rows


def the_definitions_of_the_documentation_are_good(folder):
    fences = re.findall(r"^```yaml\n(saga:.*?)^```$", (SOURCE / "docs/sagas.md").read_text(encoding="utf-8"),
                        re.MULTILINE | re.DOTALL)
    assert len(fences) >= 5, len(fences)
    for number, text in enumerate(fences):
        (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
        good(folder / f"{number}.yaml")


def json_and_yaml_are_the_same(folder):
    path = SOURCE / "examples/sagas/order-fulfilment.yaml"
    canonical = spoor("saga", "check", path, "--print").stdout
    assert json.loads(canonical)["saga"] == "order-fulfilment"
    (folder / "same.json").write_text(canonical, encoding="utf-8")
    rows = good(path, folder / "same.json")
    assert rows[0]["sha256"] == rows[1]["sha256"], rows
    assert lines(spoor("saga", "check", "-", "--json", stdin=canonical).stdout)[0]["sha256"] == rows[0]["sha256"]


def mistakes_have_their_places(folder):
    bad = folder / "bad.yaml"
    bad.write_text("saga: x\n"
                   "steps:\n"
                   "  - name: a\n"
                   "    acton: t.a\n"
                   "  - {name: b, action: t.b, timeout: soon}\n", encoding="utf-8")
    row, = lines(spoor("saga", "check", bad, "--json", code=1).stdout)
    assert not row["valid"] and row["file"] == str(bad), row
    assert [(p["line"], p["column"], p["severity"]) for p in row["problems"]] == [
        (4, 5, "error"), (5, 37, "error")], row
    assert row["problems"][0]["text"] == "a step has no key `acton`; did you mean `action`?", row


def programs_that_are_none_are_told(folder):
    bad = folder / "bad.yaml"
    bad.write_text("saga: x\n"
                   "steps:\n"
                   "  - name: a\n"
                   "    action: t.a\n"
                   "    input: '{a: .b'\n"
                   "    irreversible: true\n"
                   "  - {name: b, action: t.b, when: .a | nope(1)}\n", encoding="utf-8")
    row, = lines(spoor("saga", "check", bad, "--json", code=1).stdout)
    assert [(p["line"], p["column"]) for p in row["problems"]] == [(5, 12), (7, 34)], row
    assert row["problems"][0]["text"].startswith("`input`: "), row
    assert "nope" in row["problems"][1]["text"], row


def warnings_are_no_failure(folder):
    path = folder / "doubtful.json"
    path.write_text('{"saga": "x", "steps": [{"name": "a", "action": "t.a"}, {"name": "b", "action": "t.b"}]}',
                    encoding="utf-8")
    row, = lines(spoor("saga", "check", path, "--json").stdout)
    assert row["valid"] and row["problems"][0]["severity"] == "warning", row
    assert "`a` has no `compensate`" in row["problems"][0]["text"], row


def nested_sagas_are_found_in_files_before(folder):
    (folder / "inner.yaml").write_text("saga: inner\nsteps:\n  - {name: a, action: t.a}\n", encoding="utf-8")
    (folder / "outer.yaml").write_text("saga: outer\nsteps:\n  - {name: n, saga: inner}\n", encoding="utf-8")
    rows = good(folder / "inner.yaml", folder / "outer.yaml")
    assert rows[1]["steps"] == 2, rows
    row, = lines(spoor("saga", "check", folder / "outer.yaml", "--json").stdout)
    assert row["valid"] and "`inner` is not there" in row["problems"][0]["text"], row


def what_is_no_document_is_told(folder):
    for name, text, line in (("a.yaml", "a: [1\nb: 2\n", 2), ("b.json", '{"saga":\n }', 2), ("c.yaml", "", 1)):
        (folder / name).write_text(text, encoding="utf-8")
        row, = lines(spoor("saga", "check", folder / name, "--json", code=1).stdout)
        assert not row["valid"] and row["problems"][0]["line"] == line, row
    assert "no such" in spoor("saga", "check", folder / "none.yaml", code=None).stderr.lower()


run(the_examples_are_good, the_definitions_of_the_documentation_are_good, json_and_yaml_are_the_same,
    mistakes_have_their_places, programs_that_are_none_are_told, warnings_are_no_failure,
    nested_sagas_are_found_in_files_before, what_is_no_document_is_told)
