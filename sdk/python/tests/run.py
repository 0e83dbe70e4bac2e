"""Runs tests and prints TAP: `python -m tests.run [tests.module.Class …]`; `--list`: the classes.

All tests, where none is named. From sdk/python, with a Python that has redis-py."""
from __future__ import annotations

import logging
import pathlib
import sys
import unittest
from typing import Any, Iterator, List, Tuple

FOLDER = pathlib.Path(__file__).resolve().parents[1]


class Tap(unittest.TestResult):
    """A line for each test, behind what is to be said of it."""

    def _line(self, test: unittest.TestCase, verdict: str, text: str = "", more: str = "") -> None:
        for line in text.splitlines():
            print(f"# {line}")
        name = f"{type(test).__name__}: {test._testMethodName[5:].replace('_', ' ')}"
        print(f"{verdict} {self.testsRun} - {name}{more}", flush=True)

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._line(test, "ok")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._line(test, "not ok", self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        if isinstance(test, unittest.TestCase):
            self._line(test, "not ok", self.errors[-1][1])
        else:  # what is wrong with a whole module
            print("# " + self.errors[-1][1].replace("\n", "\n# "))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._line(test, "ok", more=f" # SKIP {reason}")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._line(test, "not ok", f"{subtest}\n{(self.failures + self.errors)[-1][1]}")


def cases(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from cases(each)
        else:
            yield each


def load(names: List[str]) -> Tuple[unittest.TestSuite, List[str]]:
    loader = unittest.TestLoader()
    if names:
        suite = loader.loadTestsFromNames(names)
    else:
        suite = loader.discover(str(FOLDER / "tests"), top_level_dir=str(FOLDER))
    return suite, [str(each) for each in loader.errors]


def main(arguments: List[str]) -> int:
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it tells of every slow moment
    listing = arguments == ["--list"]
    suite, errors = load([] if listing else arguments)
    if errors:
        print("\n".join(errors), file=sys.stderr)
        return 1
    found = list(cases(suite))
    if listing:
        names_ = {f"{type(each).__module__}.{type(each).__name__}" for each in found}
        print("\n".join(sorted(names_)))
        return 0
    print(f"1..{len(found)}", flush=True)
    result = Tap()
    suite.run(result)
    return 0 if result.wasSuccessful() and result.testsRun == len(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
