"""`python orchestrate.py SWEEP.yaml`: the command line from a checkout; `python -m omni_msa` is the same."""

from omni_msa.cli.main import run_as_program

if __name__ == "__main__":
    run_as_program()
