"""The ledger on disk: files of trials and of fits (trained weights that trials share), which decide what is done."""
