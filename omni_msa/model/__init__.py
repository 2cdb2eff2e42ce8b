"""The model of a trial: loading the frozen backbone, adapters, prompts and forward passes."""
