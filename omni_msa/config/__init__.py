"""The configuration of a trial: its sections, their validation, trial ids, and the plug-ins it names."""
