"""count-ctest.py REPORT.xml: prints "passed failed skipped" test cases of a ctest run.

A program of cmocka holds many cases and reports them itself; ctest only knows programs. A program
that ended badly without a failed case (a crash, a time-out) counts as one failure.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree


def summary(output, word):
    """The number in cmocka's closing line, e.g. `[  PASSED  ] 12 test(s).`"""
    found = re.findall(r"^\[  %s ?\s*\].*?(\d+) test\(s\)" % word, output, re.MULTILINE)
    return sum(int(n) for n in found)


def count(case):
    output = case.findtext("system-out") or ""
    passed, failed, skipped = (summary(output, w) for w in ("PASSED", "FAILED", "SKIPPED"))
    if case.get("status") == "fail" and failed == 0:
        failed = 1
    if case.get("status") == "disabled" or case.find("skipped") is not None:
        skipped += 1
    elif passed + failed + skipped == 0:
        passed = 1
    return passed, failed, skipped


def main():
    try:
        cases = ElementTree.parse(sys.argv[1]).getroot().iter("testcase")
        print(*(sum(column) for column in zip((0, 0, 0), *map(count, cases))))
    except (OSError, ElementTree.ParseError):
        print("0 1 0")


if __name__ == "__main__":
    main()
