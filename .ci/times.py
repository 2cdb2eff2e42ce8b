"""The ten slowest tests, and the seconds of each package's tests, from the files that pytest's --junitxml writes."""

import sys
import xml.etree.ElementTree as ET
from collections import Counter


def main(*files: str) -> None:
    cases = [case for file in files for case in ET.parse(file).getroot().iter("testcase")]
    times = [(float(case.get("time", 0)), case.get("classname", ""), case.get("name", "")) for case in cases]
    by_package: Counter[str] = Counter()
    for seconds, module, _ in times:
        by_package[module.removeprefix("tests.").partition(".")[0]] += seconds
    print("slowest tests (s):")
    for seconds, module, name in sorted(times, reverse=True)[:10]:
        print(f"{seconds:8.1f}  {module.removeprefix('tests.')}: {name}")
    print("by package (s):")
    for package, seconds in by_package.most_common():
        print(f"{seconds:8.1f}  {package}")


if __name__ == "__main__":
    main(*sys.argv[1:])
