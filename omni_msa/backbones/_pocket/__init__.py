"""How the small backbone gets its weights: from public files, and by training its audio and video towers."""
