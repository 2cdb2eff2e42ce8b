"""`python orchestrate.py SWEEP`: what `omni-msa run SWEEP` is, from a checkout."""

import sys

from omni_msa.cli.main import run_as_program

if __name__ == "__main__":
    run_as_program(["run", *sys.argv[1:]], "python orchestrate.py")
