"""A trial's configuration: its sections, checks, identity, and the plug-ins that it names."""
