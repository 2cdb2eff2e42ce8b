"""What a sweep will run, what would stop it, and what it takes: memory, time, disk, GPUs."""
