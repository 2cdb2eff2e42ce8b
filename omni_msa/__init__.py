"""Controlled sweeps over multimodal sentiment models: one YAML file in, evidence out."""
