"""How fast the tutor is, beside llama-cpp-python by itself on the same files in the same run."""
