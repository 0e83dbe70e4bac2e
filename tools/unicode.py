#!/usr/bin/env python3
"""Writes the general categories of Unicode as a C table: unicode.py OUTPUT

They are those of the Unicode that Python knows. An entry is the first code point of a run that has one
category, and the category's place in the list of names; the last entry ends the table.
"""
import pathlib
import sys
import unicodedata

CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn"
              .split())
PER_LINE = 6


def main():
    runs = []
    last = None
    for code in range(0x110000):
        category = CATEGORIES.index(unicodedata.category(chr(code)))
        if category != last:
            runs.append((code, category))
            last = category
    entries = [f"{{0x{code:06x}, {category}}}" for code, category in runs]
    entries.append(f"{{0x110000, {len(CATEGORIES)}}}")
    lines = [", ".join(entries[i:i + PER_LINE]) for i in range(0, len(entries), PER_LINE)]
    names = ", ".join(f'"{name}"' for name in CATEGORIES)
    pathlib.Path(sys.argv[1]).write_text(
        f'/* Made by tools/unicode.py: Unicode {unicodedata.unidata_version}. */\n'
        '#include "match/unicode.h"\n\n'
        f"const char sp_unicode_category_names[SP_UNICODE_CATEGORIES][3] = {{{names}}};\n\n"
        "const struct sp_unicode_run sp_unicode_runs[] = {\n    " + ",\n    ".join(lines) + ",\n};\n\n"
        f"const unsigned sp_unicode_run_count = {len(runs)};\n")


if __name__ == "__main__":
    main()
