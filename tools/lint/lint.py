"""What the checks share: the tracked files, the floors table and the way to report."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tracked(*patterns):
    """The tracked files that match, relative to the root; those deleted just now are left out."""
    if not (ROOT / ".git").exists():
        print("1..0 # SKIP not a git checkout, so the tracked files are unknown")
        sys.exit(0)
    listing = subprocess.run(["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    return sorted(name for name in set(listing.split("\0")) if name and (ROOT / name).is_file())


def table(name):
    """The rows of a table beside this file: words, without comments."""
    rows = []
    for line in (ROOT / "tools/lint" / name).read_text(encoding="utf-8").splitlines():
        words = line.split("#")[0].split()
        if words:
            rows.append(words)
    return rows


def floors():
    """{floor: (kind, set of the floors that it may include)}, lowest first."""
    return {row[0]: (row[1], set(row[2:])) for row in table("floors.txt")}


def report(name, problems):
    """One TAP test: it fails when there is a problem, and shows every one."""
    print("1..1")
    for problem in problems:
        print(f"# {problem}")
    print(f"{'not ok' if problems else 'ok'} 1 - {name}")
    sys.exit(1 if problems else 0)
