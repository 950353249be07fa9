"""From lessons to passages: chunk, embed, store, retrieve, pick the evidence."""
