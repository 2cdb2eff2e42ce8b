"""What the operating system and the machine offer: files, folders, processes, leases, downloads, GPUs."""
