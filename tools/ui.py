#!/usr/bin/env python3
"""Embeds the dashboard as a table of compressed files. usage: ui.py OUTPUT.c HEADER [NODE MODULES]

With Node.js and the packages of ui/package.json the page is built first; without them the table is
empty, and the server says that it was built without. The order of files, and all bytes, are the same
each time."""
import gzip
import hashlib
import pathlib
import subprocess
import sys
import tempfile

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


def write_bytes(out, data):
    for at in range(0, len(data), 20):
        out.write("    " + " ".join(f"{byte}," for byte in data[at:at + 20]) + "\n")


def main():
    target, header, *how = sys.argv[1:]
    source = pathlib.Path(__file__).parent.parent / "ui"
    with tempfile.TemporaryDirectory() as folder, open(target, "w", encoding="utf-8") as out:
        if how:
            subprocess.run([how[0], source / "build.mjs", "--into", folder, "--modules", how[1]],
                           check=True)
        files = sorted(pathlib.Path(folder).iterdir())
        out.write(f'#include "{header}"\n\n')
        rows = []
        for number, file in enumerate(files):
            plain = file.read_bytes()
            packed = gzip.compress(plain, 9, mtime=0)
            out.write(f"static const unsigned char FILE_{number}[] = {{\n")
            write_bytes(out, packed)
            out.write("};\n\n")
            tag = hashlib.sha256(plain).hexdigest()[:16]
            rows.append(f'    {{"{file.name}", "{TYPES[file.suffix]}", "\\"{tag}\\"", FILE_{number}, '
                        f"sizeof(FILE_{number})}},\n")
        out.write("const struct sp_ui_file SP_UI_FILES[] = {\n" + "".join(rows))
        out.write("    {.name = 0},\n};\n")


main()
