"""Where we look: models, embedder, the index on disk, hybrid search."""
