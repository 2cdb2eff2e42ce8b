"""The ledger on disk: the files of trials and fits, and the truth about what is done."""
