"""The ledger on disk: the files of trials and fits, which alone decide what is done."""
