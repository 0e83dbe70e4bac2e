#!/usr/bin/env python3
"""Turns the files of vocabulary/ into a C table: vocabulary.py OUTPUT INPUT…

What is wrong with a file stops the build, naming the file and the event. The table is in the order of the
types, which src/schema/vocabulary.c relies on.
"""
import json
import pathlib
import re
import sys

EVENT = {"type", "version", "also", "meaning", "emitted_by", "see", "schema", "example"}
ROW = ("type", "version", "domain", "meaning", "emitted_by")  # what a list shows
NEEDED = EVENT - {"also", "see"}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
TOKEN = re.compile(r"[a-z][a-z0-9_]*|\{[a-z]+\}")


class Wrong(Exception):
    """What is wrong, and where."""


def expect(holds, where, what):
    if not holds:
        raise Wrong(f"{where}: {what}")


def check_event(event, where):
    missing, unknown = NEEDED - event.keys(), event.keys() - EVENT
    expect(not missing and not unknown, where, f"lacks {sorted(missing)}, has also {sorted(unknown)}")
    expect(all(TOKEN.fullmatch(token) for token in event["type"].split(".")), where, "no such type")
    expect(event["meaning"].endswith("."), where, "the meaning is no sentence")
    expect(event["schema"].get("type") == "object", where, "the schema is not that of an object")
    properties = event["schema"].get("properties", {})
    for name, schema in properties.items():
        expect(schema.get("description", "").endswith("."), where, f"{name} has no description")
    for name in event["schema"].get("required", []):
        expect(name in properties, where, f"{name} is required and not described")


def load(paths):
    """Every event with its domain, by type."""
    events = []
    for path in paths:
        try:
            domain = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        except ValueError as problem:
            raise Wrong(f"{path}: {problem}") from problem
        expect(domain.keys() == {"domain", "about", "events"}, path, "expected domain, about, events")
        for event in domain["events"]:
            check_event(event, f"{path}: {event.get('type')}")
            events.append({"domain": domain["domain"], **event})
    events.sort(key=lambda event: event["type"].encode())
    names = [name for event in events for name in (event["type"], *event.get("also", []))]
    for name in names:
        expect(names.count(name) == 1, name, "is there twice")
    for event in events:
        for other in event.get("see", []):
            expect(other in names, event["type"], f"refers to {other}, which is not there")
    return events


def document(event):
    """The schema as a document of its own."""
    return {"$schema": DIALECT, "title": event["type"], "description": event["meaning"],
            **event["schema"], "examples": [event["example"]]}


def whole(event):
    """All that is known of the type, as `schema show` prints it."""
    shown = {key: event[key] for key in (*ROW, "also", "see") if key in event}
    return {**shown, "schema": document(event), "example": event["example"]}


def kind(schema):
    """What a value is, in words."""
    types = schema.get("type", "anything")
    words = types if isinstance(types, list) else [types]
    words = [f"{schema['items']['type']}s" if word == "array" and "type" in schema.get("items", {})
             else word for word in words]
    return " or ".join(words)


def literal(text):
    """A C string. Bytes beyond ASCII are octal: an octal escape ends by itself."""
    escaped = "".join(
        "\\" + char if char in '"\\' else char if 32 <= ord(char) < 127 and char != "?"
        else "".join(f"\\{byte:03o}" for byte in char.encode()) for char in text)
    return f'"{escaped}"'


def text_of(value):
    return literal(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def rows(events):
    for number, event in enumerate(events):
        required = event["schema"].get("required", [])
        properties = event["schema"].get("properties", {})
        if properties:
            yield f"static const struct sp_vocabulary_field FIELDS_{number}[] = {{"
            for name, schema in properties.items():
                yield (f"    {{{literal(name)}, {literal(kind(schema))}, "
                       f"{literal(schema['description'])}, {str(name in required).lower()}}},")
            yield "};"
    yield "const struct sp_vocabulary_type sp_vocabulary_types[] = {"
    for number, event in enumerate(events):
        count = len(event["schema"].get("properties", {}))
        yield f"    {{.type = {literal(event['type'])},"
        for key in ("version", "domain", "meaning", "emitted_by"):
            yield f"     .{key} = {literal(event[key])},"
        yield f"     .also = {literal(' '.join(event.get('also', [])))},"
        yield f"     .see = {literal(' '.join(event.get('see', [])))},"
        yield f"     .fields = {f'FIELDS_{number}' if count else 'NULL'},"
        yield f"     .field_count = {count},"
        yield f"     .schema = {text_of(document(event))},"
        yield f"     .example = {text_of(event['example'])},"
        yield f"     .json = {text_of(whole(event))},"
        yield f"     .row = {text_of({key: event[key] for key in ROW})}}},"
    yield "};"
    yield f"const size_t sp_vocabulary_type_count = {len(events)};"


def main():
    try:
        events = load(sys.argv[2:])
    except Wrong as problem:
        sys.exit(f"vocabulary: {problem}")
    lines = ["/* Made from vocabulary/ by tools/vocabulary.py. */",
             '#include "schema/vocabulary_table.h"', "", *rows(events), ""]
    pathlib.Path(sys.argv[1]).write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
