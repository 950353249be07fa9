"""One turn of conversation: retrieve, compose the prompt, generate, ground, cite."""
