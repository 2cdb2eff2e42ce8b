"""Where things lie in the checkout."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
FIXTURES = TESTS / "fixtures"
SWEEPS = ROOT / "sweeps"
BENCHMARKS = ROOT / "benchmarks"
