"""The frozen Thinker: building it, adapting it, prompts, and forward passes over both."""
