"""The tutor: one object that the command line and the app talk to.

One turn runs in one direction: search, decide whether the lessons answer, quote the evidence
(true by construction, shown first), let the model speak from it, check what it said.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence

import prompts
from corpus import Lesson
from index.evidence import Evidence
from index.material import gathered
from index.passages import Passage
from index.retriever import Found, Retriever
from index.scope import in_scope
from tutor.agent.circles import Circling, before_circling
from tutor.agent.compose import compose, stable_prefix
from tutor.agent.ground import ground
from tutor.agent.itself import with_current
from tutor.agent.perform import Asked, perform, performable
from tutor.agent.prompt import Prompt
from tutor.agent.question import QuestionError, checked
from tutor.agent.router import Router
from tutor.agent.telling import markdown
from tutor.agent.turn import (
    OWN,
    Acted,
    Answer,
    AnswerStop,
    Began,
    Delta,
    Done,
    Exchange,
    Performed,
    Quote,
    Retrieved,
    Source,
    Timings,
    TurnEvent,
    Usage,
)
from tutor.agent.variants import use_variant
from tutor.demos.demo import Shown
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel
from tutor.engine.engine import Engine
from tutor.engine.gguf import ModelInfo
from tutor.engine.settings import Sampling
from tutor.home import Home

PASSAGES = 3


class Tutor:
    """Lessons, retriever and engine together; `ask` is one turn of conversation."""

    def __init__(
        self,
        lessons: list[Lesson],
        retriever: Retriever,
        router: Router,
        engine: Engine,
        home: Home,
    ) -> None:
        self.lessons = lessons
        self.retriever = retriever
        self.router = router
        self.engine = engine
        self.home = home
        self.bench = Workbench(engine, retriever, lessons, home.cache)

    @property
    def info(self) -> ModelInfo:
        return self.engine.info

    @property
    def n_ctx(self) -> int:
        return self.engine.n_ctx

    def use(self, adapter: str, scale: float = 1.0) -> None:
        """Lets the adapter of a name or path, NONE or SHIPPED speak, after what runs has ended.

        Raises AdapterError, and what spoke before goes on speaking.
        """
        use_variant(self.engine, self.home, adapter, scale)
        self.engine.begin_with(stable_prefix(self.engine), self.home.cache / "prefixes")

    def close(self) -> None:
        self.engine.close()

    def ask(
        self,
        question: str,
        history: Sequence[Exchange] = (),
        lesson: int | None = None,
        sampling: Callable[[], Sampling] = Sampling,
        cancel: Cancel | None = None,
        rag: bool = True,
        id: str = "",
        top: int = 0,
    ) -> Iterator[TurnEvent]:
        """One turn as a stream: Retrieved (with `rag`), Began, a Delta a token, Done at the end.

        A request ("set temperature to 1.2") is done instead: Acted, then Done.

        `sampling` is read at every token; with `top` every Delta carries its step of the sampler
        chain with that many candidates. Raises QuestionError for an empty or too long question.
        """
        began = time.perf_counter()
        question = checked(question)
        cancel = cancel or Cancel()
        settings = sampling()
        if rag:
            route = self.router.route(question)
            if performable(route.intent):
                asked = Asked(question, route.payload, self.bench, settings, history, cancel)
                performed = perform(route, asked)
                yield Acted(performed)
                yield Done(self._performed(id, question, route.intent, performed, settings, began))
                return
        passages: list[Passage] = []
        retrieved = Retrieved("", (), (), False, 0.0)
        if rag:
            passages, retrieved = self._search(question, history, lesson, settings, began)
            yield retrieved

        text, usage, timings = "", Usage(), Timings()
        stop: AnswerStop = "end"
        adapter = self.engine.adapter
        tokens: list[int] = []
        if not retrieved.refused:
            prompt = self._prompt(question, retrieved, history, settings)
            # Without the lessons the model speaks as it does by itself, in circles too.
            stopping = Circling() if rag else None
            generation = self.engine.generate(
                prompt.tokens, sampling, cancel, top=top, stopping=stopping
            )
            for event in generation:
                if not tokens:
                    yield Began(prompt, generation.cached_tokens)
                text += event.text
                tokens.append(event.id)
                yield Delta(event)
            stats = generation.stats
            stop, adapter = stats.stop_reason, stats.adapter
            usage = Usage(stats.prompt_tokens, stats.cached_tokens, stats.completion_tokens)
            timings = Timings(0.0, stats.first_token_ms, stats.tokens_per_second, 0.0)

        text = text.strip()
        if rag and (whole := before_circling(text)) != text:
            text, stop = whole, "repeats"
        yield Done(
            Answer(
                id=id or uuid.uuid4().hex[:12],
                question=question,
                text=retrieved.text if rag else text,
                answer_source=retrieved.answer_source if rag else "model",
                model_text=text,
                refused=retrieved.refused,
                intent="answer",
                sources=retrieved.sources,
                quotes=retrieved.quotes,
                sentences=ground(text, retrieved.text, passages, self.retriever.encoder),
                model=self.info.name,
                adapter=adapter.name if adapter else None,
                adapter_scale=adapter.scale if adapter else 0.0,
                settings=sampling(),
                usage=usage,
                timings=Timings(
                    retrieved.retrieve_ms,
                    timings.first_token_ms,
                    timings.tokens_per_second,
                    1000 * (time.perf_counter() - began),
                ),
                stop_reason=stop,
                tokens=tuple(tokens),
            )
        )

    def showed(self, question: str, shown: Shown, settings: Sampling) -> Answer:
        """A demonstration that was run outside a turn, as a turn that later questions stand on.

        Its source is the section of the lesson that it belongs to: a follow-up is searched there.
        """
        section = next(
            (
                section.passage_id
                for lesson in self.lessons
                for demo in lesson.demos
                for section in lesson.sections
                if (demo.name, demo.section) == (shown.demo, section.heading)
            ),
            None,
        )
        performed = Performed(markdown(shown), shown.demo, shown, passage_id=section)
        return self._performed("", question, shown.demo, performed, settings, time.perf_counter())

    def _performed(
        self,
        id: str,
        question: str,
        intent: str,
        performed: Performed,
        settings: Sampling,
        began: float,
    ) -> Answer:
        sources = tuple(
            Source(
                lesson.number, lesson.title, section.heading, section.passage_id, 1, section.text
            )
            for lesson in self.lessons
            for section in lesson.sections
            if section.passage_id == performed.passage_id
        )
        return Answer(
            id=id or uuid.uuid4().hex[:12],
            question=question,
            text=performed.text,
            answer_source="demo",
            model_text="",
            refused=False,
            intent=intent,
            sources=sources,
            quotes=(),
            sentences=(),
            model=self.info.name,
            adapter=None,
            adapter_scale=0.0,
            settings=performed.sampling or settings,
            usage=Usage(),
            timings=Timings(total_ms=_ms_since(began)),
            demo=performed.demo,
        )

    def read_ahead(
        self,
        draft: str,
        history: Sequence[Exchange],
        lesson: int | None,
        settings: Sampling,
        cancel: Cancel,
    ) -> None:
        """Reads notes and words of a question that is still being typed, so that it is answered sooner.

        The engine reads in the background until `cancel`. Nothing that is asked depends on it.
        """
        try:
            question = checked(draft)
        except QuestionError:
            return
        # What uses the engine in turns measures it, too: it is left alone meanwhile.
        if self.bench.turn.locked() or performable(self.router.route(question).intent):
            return
        began = time.perf_counter()
        _, retrieved = self._search(question, history, lesson, settings, began)
        if retrieved.notes and not retrieved.refused:
            prompt = self._prompt(question, retrieved, history, settings)
            self.engine.read_ahead(prompt.while_typed, cancel)

    def _prompt(
        self,
        question: str,
        retrieved: Retrieved,
        history: Sequence[Exchange],
        settings: Sampling,
    ) -> Prompt:
        found = {source.passage_id for source in retrieved.sources}
        return compose(self.engine, question, retrieved.notes, history, settings.max_tokens, found)

    def _search(
        self,
        question: str,
        history: Sequence[Exchange],
        lesson: int | None,
        settings: Sampling,
        began: float,
    ) -> tuple[list[Passage], Retrieved]:
        context = history[-1].topic if history else ""
        found = self.retriever.search(question, PASSAGES, lesson, context)
        found = with_current(found, settings, self.engine.adapter)
        return [hit.passage for hit in found.hits], self._retrieved(found, context, began)

    def _retrieved(self, found: Found, context: str, began: float) -> Retrieved:
        sources = tuple(
            Source(
                hit.passage.lesson,
                hit.passage.title,
                hit.passage.section,
                hit.passage.passage_id,
                hit.score,
                hit.passage.text,
            )
            for hit in found.hits
        )
        if not in_scope(found).answerable:
            nearest = next((s for s in sources if s.lesson != OWN), sources[0])
            text = prompts.render(
                "refusal", number=nearest.lesson, title=nearest.title, section=nearest.section
            )
            return Retrieved(text, (nearest,), (), True, _ms_since(began))
        place = {source.passage_id: n for n, source in enumerate(sources, start=1)}

        def quote(e: Evidence) -> Quote:
            return Quote(e.sentence, place[e.passage.passage_id], e.passage.passage_id)

        material = gathered(self.retriever, found, context)
        said = " ".join(f"{q.text} [{q.source}]" for q in map(quote, material.picked))
        if material.card:
            said = f"{material.card.answer} [1]\n\n{said}".strip()
        return Retrieved(
            said,
            sources,
            tuple(map(quote, material.picked)),
            False,
            _ms_since(began),
            material.notes,
            "card" if material.card and material.card.known else "evidence",
        )


def _ms_since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)
