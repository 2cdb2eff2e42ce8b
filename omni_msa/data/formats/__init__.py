"""Readers for the tables and folders in which corpora are published."""
