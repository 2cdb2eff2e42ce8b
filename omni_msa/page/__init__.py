"""report.html: the whole evidence of a sweep in one file that opens from disk."""
