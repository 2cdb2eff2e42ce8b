"""One file per plug-in; the folder is the list (see omni_msa/config/plugins.py)."""
