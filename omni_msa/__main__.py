"""`python -m omni_msa`: the same as the command `omni-msa`."""

from omni_msa.cli.main import run_as_program

if __name__ == "__main__":
    run_as_program()
