"""Tables, as Markdown, CSV, LaTeX, HTML and on a terminal."""
