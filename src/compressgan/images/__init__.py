"""Photos and files: reading, writing, tiles, and work on many files at once."""
