"""Live demonstrations: one module each; typed input, typed result, nothing drawn."""
