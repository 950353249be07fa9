"""One answer decoded by itself, with the tokens that its own text lets guess read ahead."""

from __future__ import annotations

from tutor.engine.events import StopReason
from tutor.engine.generation import Generation
from tutor.engine.lookup import Lookup
from tutor.engine.memory import Memory
from tutor.engine.model import Logits, Model
from tutor.engine.voice import Voice


def decode_alone(
    model: Model,
    memory: Memory,
    voice: Voice,
    generation: Generation,
    logits: Logits,
) -> tuple[StopReason, Logits | None]:
    """Says an answer to a prompt that is in memory, with `logits` after it; tells why it ended, and the
    logits after the answer.

    After a cancel there are none. The memory then holds the prompt and what was said. The chain
    draws every token itself: a guess saves the reading of a token, and never chooses one.
    """
    start = len(memory)
    lookup = Lookup(generation.draft)
    lookup.add(memory.ids)
    # Of the last batch: the row that the next token is drawn from, and the guesses after it.
    row, guessed, ahead = 0, 0, list[int]()
    stop: StopReason = "cancelled"
    enough = False
    while not generation.cancelled:
        settings = generation.sampling()
        left = settings.max_tokens - voice.count - len(generation.said)
        room = model.n_ctx - start - voice.count
        if enough or left <= 0 or room <= 0:
            stop = "criterion" if enough else "length" if left <= 0 else "context"
            break
        event = voice.say(logits, settings)
        if event is None:
            stop = "end"
            break
        generation.put(event)
        enough = generation.stopping is not None and generation.stopping(event)
        lookup.add([event.id])
        if ahead and ahead[0] == event.id:
            del ahead[0]
            row += 1
        else:
            lookup.learn(guessed, guessed - len(ahead))
            if ahead:
                memory.forget(start + voice.count - 1)
            ahead = lookup.draft(min(left, room) - 1)
            row, guessed = 0, len(ahead)
            memory.read_rows([event.id, *ahead])
        logits = model.logits(row)
    memory.forget(start + voice.count)
    return stop, None if stop == "cancelled" else logits.copy()
