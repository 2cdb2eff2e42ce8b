"""Backbones, one a file: frozen networks and how to build them. The folder is the list."""
