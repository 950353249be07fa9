"""LoRA: from a training to an adapter that the engine swaps in. Draws nothing."""


class LoraError(Exception):
    """What cannot be trained or exported; the message is one line that says why."""
