"""What we know: shipped documents, readers for people's own files, sections, chunks, sentences."""
