"""Network inputs of clips: computed once, cached on disk, prefetched."""
