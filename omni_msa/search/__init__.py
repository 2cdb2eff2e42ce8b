"""Searches: studies, proposals, samplers, and what may be promoted or confirmed."""
