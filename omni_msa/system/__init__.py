"""Services of the operating system and the machine: files, processes, locks, downloads, GPUs."""
