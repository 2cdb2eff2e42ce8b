"""A sweep file: its axes, cells, settings, search space and JSON schema."""
