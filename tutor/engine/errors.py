"""What can go wrong with a model; every message is one line that says what to do."""


class EngineError(Exception):
    """A request that the engine cannot carry out."""


class ModelFileError(EngineError):
    """A file that is missing, is no model, is cut off, or lacks what the tutor needs."""


class AdapterError(EngineError):
    """A LoRA adapter that cannot be used: missing, damaged, for another model, or scaled wrongly."""
