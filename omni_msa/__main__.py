"""`python -m omni_msa SWEEP.yaml`: the command line."""

from omni_msa.cli.main import run_as_program

if __name__ == "__main__":
    run_as_program()
