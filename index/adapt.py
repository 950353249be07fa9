"""Trains the encoder's adapter on the bank's questions: LoRA, so that what is shipped stays small.

The loss is the search's own: of all passages, each scored by its best vector, the right one shall
win (InfoNCE over the whole course; van den Oord et al., 2018). The vectors searched are refreshed
twice an epoch and held still between (as in ANCE, Xiong et al., 2020), so that a step costs no more
than its queries. A card's own wordings are hidden from it, and half of the time the whole bank is:
the lessons' own text must be found too. Questions that no lesson answers shall stay far from
everything, so that a cosine tells whether a question is answered at all. Phrases of requests are
asked like questions, and each intent is found like a passage: the router reads the same vectors.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.gold import GoldQuestion, states
from corpus.intents import Request
from index.encoder import MAX_PIECES, model_folder
from index.passages import Passage, without_markup

BASE = "sentence-transformers/all-MiniLM-L6-v2"
RANK = 16
EPOCHS = 1
"""More gained nothing (docs/experiments.md)."""
BATCH = 64
LEARNING_RATE = 1e-3
_TEMPERATURE = 0.05
_SENTENCE_WEIGHT = 0.5
"""Of the second loss: inside the right passage, the sentence that states a fact shall win."""
_SCOPE_WEIGHT = 3.0
_NEAR, _FAR = 0.65, 0.4
"""The cosines that a question's passage shall have at least, and an unanswered question at most."""
_UNANSWERED = 24
"""Questions without an answer that join each batch."""
_MISSPELLED = 0.12
_HIDDEN = -9.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What can be asked: a card of the bank, or a phrase of a request. `right` are the passages, or
    the intent, that shall be found."""

    wordings: tuple[str, ...]
    right: frozenset[str]
    section: str = ""
    facts: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class _Texts:
    """Everything that is searched: whose it is (a passage's or an intent's, by place in `owners`),
    and which of the known it words (-1: the lesson's own text)."""

    texts: list[str]
    owners: list[str]
    owner: NDArray[np.int64]
    known: NDArray[np.int64]
    sentence: NDArray[np.bool_]


def adapt(
    passages: Sequence[Passage],
    bank: Sequence[GoldQuestion],
    requests: Sequence[Request],
    to: Path,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Callable[[str, float], None] = lambda stage, done: None,
) -> None:
    """Leaves PEFT's two files in `to`; about 20 minutes on two cores."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel, AutoTokenizer

    torch.manual_seed(seed)
    draw = random.Random(seed)
    known = [_Known(c.asked, c.relevant, c.section, c.facts) for c in bank if c.section]
    cards = len(known)
    known += [_Known(r.forms, frozenset((r.intent,))) for r in requests]
    unanswered = [card.question for card in bank if not card.answerable]
    searched = _searched(passages, known)
    tokenizer = AutoTokenizer.from_pretrained(str(model_folder()))
    modules = ["query", "key", "value", "dense"]
    model = get_peft_model(
        AutoModel.from_pretrained(str(model_folder())),
        LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=modules, lora_dropout=0.1),
    )

    def encode(texts: Sequence[str]) -> Any:
        marked = tokenizer(
            [without_markup(text) for text in texts],
            padding=True,
            truncation=True,
            max_length=MAX_PIECES,
            return_tensors="pt",
        )
        hidden = model(**marked).last_hidden_state
        mask = marked["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

    def refreshed() -> Any:
        model.eval()
        vectors = torch.empty(len(searched.texts), model.config.hidden_size)
        order = sorted(range(len(searched.texts)), key=lambda i: len(searched.texts[i]))
        with torch.no_grad():
            for start in range(0, len(order), BATCH):
                part = order[start : start + BATCH]
                vectors[part] = encode([searched.texts[i] for i in part])
        model.train()
        return vectors

    items = [(n, asked) for n, one in enumerate(known) for asked in one.wordings]
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01)
    steps = epochs * (len(items) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1
    )
    loss_of = _loss(known, cards, searched)
    done = 0
    for _ in range(epochs):
        batches = list(_batches(items, draw))
        for n, batch in enumerate(batches):
            if n % max(len(batches) // 2, 1) == 0:
                vectors = refreshed()
            asked = [
                misspelled(text, draw) if draw.random() < _MISSPELLED else text for _, text in batch
            ]
            cosines = encode(asked) @ vectors.T
            loss = loss_of(cosines, [n for n, _ in batch], draw.random() < 0.5)
            if unanswered:
                beside = draw.sample(unanswered, min(_UNANSWERED, len(unanswered)))
                nearest = (encode(beside) @ vectors.T).amax(1)
                loss = loss + _SCOPE_WEIGHT * (nearest - _FAR).relu().mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            rate.step()
            optimizer.zero_grad()
            done += 1
            progress(f"training the encoder, loss {loss.item():.2f}", min(done / steps, 1.0))
    # Not the folder that the base was read from: what is shipped names no machine's paths.
    model.peft_config["default"].base_model_name_or_path = BASE
    # Half precision: the merged vectors differ by less than the export's tolerance.
    model.half().save_pretrained(to)


def misspelled(text: str, draw: random.Random) -> str:
    """The text with a slip of the fingers about every 18 letters."""
    letters = list(text)
    for _ in range(max(1, len(letters) // 18)):
        at = draw.randrange(max(len(letters) - 1, 1))
        slip = draw.random()
        if slip < 0.4 and at + 1 < len(letters):
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        elif slip < 0.7 and len(letters) > 6:
            letters.pop(at)
        else:
            letters.insert(at, draw.choice("etaoinsrhl"))
    return "".join(letters)


def _searched(passages: Sequence[Passage], known: Sequence[_Known]) -> _Texts:
    owners = [p.passage_id for p in passages]
    owners += sorted({id for one in known for id in one.right} - set(owners))
    place = {id: n for n, id in enumerate(owners)}
    texts: list[str] = []
    owner, whose, sentence = [], [], []
    for n, p in enumerate(passages):
        own = p.own_texts
        texts += own
        owner += [n] * len(own)
        whose += [-1] * len(own)
        sentence += [False, False] + [True] * len(p.sentences)
    for n, one in enumerate(known):
        texts += one.wordings
        owner += [place[one.section or min(one.right)]] * len(one.wordings)
        whose += [n] * len(one.wordings)
        sentence += [False] * len(one.wordings)
    return _Texts(texts, owners, np.array(owner), np.array(whose), np.array(sentence))


def _loss(
    known: Sequence[_Known], cards: int, searched: _Texts
) -> Callable[[Any, Sequence[int], bool], Any]:
    """The loss of cosines (batch, texts) for the queries of some known ones, by their places.

    The first `cards` of the known are the bank, which the last argument hides as a whole.
    """
    import torch

    place = {id: n for n, id in enumerate(searched.owners)}
    owner, whose = torch.tensor(searched.owner), torch.tensor(searched.known)
    in_bank = (whose >= 0) & (whose < cards)
    right = torch.zeros(len(known), len(place), dtype=torch.bool)
    stating: list[tuple[list[int], list[int]]] = []
    for n, one in enumerate(known):
        right[n, [place[id] for id in one.right]] = True
        own = (searched.owner == place.get(one.section, -1)) & searched.sentence
        inside = np.flatnonzero(own).tolist()
        good = [
            k
            for k, i in enumerate(inside)
            if any(states(searched.texts[i], fact) for fact in one.facts)
        ]
        stating.append((inside, good))

    def loss(cosines: Any, batch: Sequence[int], without_bank: bool) -> Any:
        ids = torch.tensor(batch)
        hidden = whose[None, :] == ids[:, None]
        if without_bank:
            hidden = hidden | in_bank[None, :]
        cosines = cosines.masked_fill(hidden, _HIDDEN)
        best = torch.full((len(batch), len(place)), _HIDDEN)
        best = best.scatter_reduce(1, owner.expand(len(batch), -1), cosines, "amax")
        near = best.masked_fill(~right[ids], _HIDDEN).amax(1)
        won = (best / _TEMPERATURE).log_softmax(1).masked_fill(~right[ids], -1e9).logsumexp(1)
        inner = []
        for row, n in enumerate(batch):
            inside, good = stating[n]
            if 0 < len(good) < len(inside):
                scores = cosines[row, inside] / _TEMPERATURE
                inner.append(scores.logsumexp(0) - scores[good].logsumexp(0))
        total = -won.mean() + _SCOPE_WEIGHT * (_NEAR - near).relu().mean()
        return total + _SENTENCE_WEIGHT * torch.stack(inner).mean() if inner else total

    return loss


def _batches(
    items: Sequence[tuple[int, str]], draw: random.Random
) -> Iterator[list[tuple[int, str]]]:
    """An epoch: like lengths share a batch, in random order; a last part of a batch waits."""
    order = draw.sample(items, len(items))
    size = 8 * BATCH
    found = []
    for start in range(0, len(order), size):
        window = sorted(order[start : start + size], key=lambda item: len(item[1]))
        found += [window[i : i + BATCH] for i in range(0, len(window), BATCH)]
    found = [batch for batch in found if len(batch) == BATCH]
    draw.shuffle(found)
    yield from found
