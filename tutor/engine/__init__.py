"""The model: load, tokenize, sample, generate. Knows nothing of lessons."""
