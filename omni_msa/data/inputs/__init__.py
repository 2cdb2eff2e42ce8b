"""Network inputs of clips: computed once, kept on disk, read ahead."""
