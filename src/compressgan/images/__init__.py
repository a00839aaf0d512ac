"""Photos and files: reading, writing, tiling, and processing many files at once."""
