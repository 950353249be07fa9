"""An offline tutor for the foundations of language models."""
