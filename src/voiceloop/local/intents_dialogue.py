"""The dialogue of a script as pure steps: a state and what the user said give the next state and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import evolve, frozen

from voiceloop.local.grammar import Many, Maybe, Pattern, SlotType, Word, in_order, jsgf, match, one_of, parse
from voiceloop.local.intents import Intent, Script, SlotRule, fill
from voiceloop.local.intents_words import figure, words_of

CONFIRM, CHANGE = "?confirm", "?change"
SURE = 0.5  # a confidence below this is asked back

_POLITE = frozenset(("please", "thanks", "um", "uh", "er", "well", "so", "hey", "and"))
_MARKERS = parse("[no] [sorry] [actually | i said | i meant | make (it | that) | change (it | that) to]")
_GREETINGS = frozenset(("hello", "hi", "hey", "morning", "greetings"))
_NOT_UNDERSTOOD = "Sorry, I did not understand that."
_CHANGE_HELP = "You can say what you want instead, or cancel."
_MOST_WORDS = 40
_MOST_FORMS = 3
_NO_TYPES: dict[str, SlotType] = {}


@frozen
class Form:
    """An intent being filled. ``asked``: the slot asked for, CONFIRM or CHANGE."""

    intent: str
    values: tuple[tuple[str, Any], ...] = ()
    asked: str = ""


@frozen
class State:
    """Where a dialogue stands. ``doubt``: words asked back. ``calling``: what a tool was called for.

    ``said``: the last reply. ``unclear``: it was to a sound that may have been no words.
    """

    forms: tuple[Form, ...] = ()
    doubt: tuple[str, ...] = ()
    calling: Form | None = None
    said: str = ""
    unclear: bool = False

    @property
    def form(self) -> Form | None:
        """The form being filled now."""
        return self.forms[-1] if self.forms else None


@frozen
class Say:
    """Reply in words."""

    text: str


@frozen
class Call:
    """Call a tool, then reply from its result."""

    tool: str
    arguments: Mapping[str, Any]


Action: TypeAlias = Say | Call
Step: TypeAlias = tuple[State, Action]


@frozen
class Dialogue:
    """The steps of one script."""

    script: Script

    # ------------------------------------------------------------ what the user said

    def hear(self, state: State, text: str, confidence: float | None) -> Step:
        """The user said or typed ``text``."""
        words = _trim(words_of(text))
        again, state = state.unclear, evolve(state, unclear=False)
        if state.doubt:
            asked, state = state.doubt, evolve(state, doubt=())
            if self._is("yes", words):
                return self.understand(state, asked) or self._lost(state)
            if self._is("no", words):
                return _say(state, f"Sorry. {self._question(state)}")
        step, doubtful = self.understand(state, words), confidence is not None and confidence < SURE
        noise = doubtful or (state.form is None and len(words) == 1 and words[0] not in _GREETINGS)
        if step is None and noise and not again:
            return _say(evolve(state, unclear=True), _NOT_UNDERSTOOD)
        if step is None:
            return self._lost(state)
        if doubtful:
            return _say(evolve(state, doubt=words), f"Did you say: {' '.join(words)}?")
        return step

    def makes_sense(self, state: State, text: str) -> bool:
        """Whether ``text`` means something here."""
        return self.understand(state, _trim(words_of(text))) is not None

    def understand(self, state: State, words: tuple[str, ...]) -> Step | None:
        """What ``words`` lead to; None when they mean nothing here."""
        if not words or len(words) > _MOST_WORDS:
            return None
        step = self._command(state, words)
        if step is None and state.form is not None:
            step = self._in_form(state, state.form, words)
        return step or self._begin(state, words, free=False) or self._freely(state, words)

    def tool(self, form: Form) -> str:
        """The tool that ``form`` is for."""
        return self.script.intent(form.intent).tool

    def result(self, state: State, result: str, *, error: bool) -> Step:
        """The tool that was called has answered."""
        form = state.calling
        if form is None:
            return state, Say("")
        state, intent = evolve(state, calling=None), self.script.intent(form.intent)
        template = (intent.failed or "Sorry, that did not work: {result}") if error else intent.reply
        return self._go_on(state, fill(template, self._shown(form) | _fields(result)))

    def replied(self, state: State, heard: str, *, refused: bool) -> State:
        """``heard`` of the last reply reached the user: a summary that was cut short is not agreed to.

        ``refused``: the tool that was to be called was not, so that no result is waited for.
        """
        if refused:
            state = evolve(state, calling=None)
        form = state.form
        if form is not None and form.asked == CONFIRM and 2 * len(heard) < len(state.said):
            return _top(state, evolve(form, asked=""))
        return state

    # ------------------------------------------------------------ commands

    def _is(self, command: str, words: Sequence[str]) -> bool:
        return match(self.script.commands[command], words, _NO_TYPES) is not None

    def _command(self, state: State, words: tuple[str, ...]) -> Step | None:
        form = state.form
        if self._is("help", words):
            return _say(state, self._help(state))
        if self._is("repeat", words):
            return state, Say(state.said or self._help(state))
        if self._is("stop", words):
            return state, Say("Okay.")
        if self._is("cancel", words):
            if form is None:
                return _say(state, "There is nothing to cancel.")
            return self._go_on(evolve(state, forms=state.forms[:-1]), "Okay, cancelled.")
        if self._is("again", words) and form is not None:
            return self._advance(_top(state, Form(form.intent)), "Okay.")
        return None

    # ------------------------------------------------------------ forms

    def _in_form(self, state: State, form: Form, words: tuple[str, ...]) -> Step | None:
        intent = self.script.intent(form.intent)
        if form.asked == CONFIRM and self._is("yes", words):
            return self._do(evolve(state, forms=state.forms[:-1]), form)
        if form.asked == CONFIRM and self._is("no", words):
            return _say(_top(state, evolve(form, asked=CHANGE)), f"What should be different? {_CHANGE_HELP}")
        for pattern in self._answers(intent, form):
            given = match(pattern, words, intent.types)
            if given:
                return self._given(state, form, given)
        for slot in intent.slots:
            if slot.ask and match(_change(slot), words, _NO_TYPES) is not None:
                left = tuple(pair for pair in form.values if pair[0] != slot.name)
                return _say(_top(state, evolve(form, values=left, asked=slot.name)), slot.ask)
        return self._bare(state, form, intent, words) if form.asked in (CONFIRM, CHANGE) else None

    def _answers(self, intent: Intent, form: Form) -> list[Pattern]:
        more = Many(one_of(intent.phrases)) if intent.phrases else None
        patterns: list[Pattern] = []
        if form.asked not in (CONFIRM, CHANGE, ""):
            answer = one_of(intent.slot(form.asked).answers)
            patterns.append(in_order(_MARKERS, answer, Maybe(more)) if more else in_order(_MARKERS, answer))
        return [*patterns, in_order(_MARKERS, more)] if more else patterns

    def _bare(self, state: State, form: Form, intent: Intent, words: tuple[str, ...]) -> Step | None:
        """A correction that gives only a value, when it can be of one slot alone."""
        found = [
            given
            for slot in intent.slots
            if (given := match(in_order(_MARKERS, one_of(slot.answers)), words, intent.types)) is not None
        ]
        return self._given(state, form, found[0]) if len(found) == 1 else None

    def _freely(self, state: State, words: tuple[str, ...]) -> Step | None:
        form = state.form
        if form is not None:
            intent = self.script.intent(form.intent)
            for pattern in self._answers(intent, form):
                given = match(pattern, words, intent.types, free=True)
                if given:
                    return self._given(state, form, given)
        return self._begin(state, words, free=True)

    def _begin(self, state: State, words: tuple[str, ...], *, free: bool) -> Step | None:
        for intent in self.script.intents:
            given = match(intent.opening, words, intent.types, free=free)
            if given is None:
                continue
            known = next((other.values for other in state.forms if other.intent == intent.name), ())
            form = Form(intent.name, tuple((dict(known) | dict(given)).items()))
            kept = tuple(other for other in state.forms if other.intent != intent.name)[-_MOST_FORMS + 1 :]
            return self._advance(evolve(state, forms=(*kept, form)), "")
        return None

    def _given(self, state: State, form: Form, given: Sequence[tuple[str, Any]]) -> Step:
        values, intent = dict(given), self.script.intent(form.intent)
        echo = ", ".join(intent.slot(name).say(value) for name, value in values.items())
        changed = evolve(form, values=tuple((dict(form.values) | values).items()))
        return self._advance(_top(state, changed), f"{echo[:1].upper()}{echo[1:]}.")

    def _advance(self, state: State, before: str) -> Step:
        """Ask for what is missing, or to confirm, or do it."""
        form = state.form
        if form is None:
            return _say(state, before)
        intent = self.script.intent(form.intent)
        known = {name for name, _ in form.values}
        missing = next((slot for slot in intent.slots if slot.ask and slot.name not in known), None)
        if missing is not None:
            return _say(_top(state, evolve(form, asked=missing.name)), f"{before} {missing.ask}")
        if intent.confirm:
            return _say(_top(state, evolve(form, asked=CONFIRM)), fill(intent.confirm, self._shown(form)))
        return self._do(evolve(state, forms=state.forms[:-1]), form)

    def _do(self, state: State, form: Form) -> Step:
        intent = self.script.intent(form.intent)
        if intent.tool:
            return evolve(state, calling=form), Call(intent.tool, dict(form.values))
        return self._go_on(state, fill(intent.reply, self._shown(form)))

    def _go_on(self, state: State, before: str) -> Step:
        """Say ``before``, and come back to the form that waits, if any."""
        if state.form is None:
            return _say(state, before)
        return self._advance(state, before)

    # ------------------------------------------------------------ words

    def _shown(self, form: Form) -> dict[str, Any]:
        intent = self.script.intent(form.intent)
        return {"about": self.script.about} | {name: intent.slot(name).say(value) for name, value in form.values}

    def _question(self, state: State) -> str:
        form = state.form
        if form is None:
            return "What did you say?"
        if form.asked == CONFIRM:
            return fill(self.script.intent(form.intent).confirm, self._shown(form))
        if form.asked == CHANGE:
            return "What should be different?"
        return self.script.intent(form.intent).slot(form.asked).ask if form.asked else "What did you say?"

    def _help(self, state: State) -> str:
        form = state.form
        if form is not None and form.asked == CONFIRM:
            return "You can say yes, no, cancel, or what should be different."
        if form is not None and form.asked == CHANGE:
            return _CHANGE_HELP
        if form is not None and form.asked:
            slot = self.script.intent(form.intent).slot(form.asked)
            return f"{slot.help or slot.ask} Or say cancel."
        return f"{self._ability()} {self._examples()}"

    def _ability(self) -> str:
        can = f"I can {', and '.join(self.script.can)}." if self.script.can else ""
        return f"{can} {self.script.about}"

    def _examples(self) -> str:
        if not self.script.examples:
            return ""
        return f"You can say, for example: {'; '.join(self.script.examples)}."

    def _lost(self, state: State) -> Step:
        if not state.said and state.form is None:
            return _say(state, f"Hello. {self._help(state)}")
        if state.form is not None and not state.form.asked:
            return self._advance(state, "")
        help_ = self._help(state) if state.form is not None else self._examples()
        return _say(state, f"{_NOT_UNDERSTOOD} {help_}")

    # ------------------------------------------------------------ what can be said next

    def grammar(self, state: State) -> str:
        """JSGF of what the user may say next: a small one for this state, and the commands."""
        commands = self.script.commands
        said = [commands[name] for name in ("help", "cancel", "stop", "repeat")]
        form = state.form
        if state.doubt or (form is not None and form.asked == CONFIRM):
            said += [commands["yes"], commands["no"]]
        ways: list[tuple[Pattern, Mapping[str, SlotType]]] = []
        if form is None:
            ways += [(intent.listened, intent.types) for intent in self.script.intents]
        else:
            said.append(commands["again"])
            intent = self.script.intent(form.intent)
            ways += [(pattern, intent.types) for pattern in self._listened(intent, form)]
        return jsgf([*ways, *((pattern, _NO_TYPES) for pattern in said)])

    def _listened(self, intent: Intent, form: Form) -> list[Pattern]:
        if form.asked in (CONFIRM, CHANGE, ""):
            asks = [slot for slot in intent.slots if slot.ask]
            phrases = [in_order(Maybe(one_of((Word("no"), parse("make it")))), one_of(intent.phrases))]
            return [*phrases, *(_change(slot) for slot in asks)]
        return [one_of(intent.slot(form.asked).answers)]


def _change(slot: SlotRule) -> Pattern:
    return in_order(parse("[no] (change | not)"), Maybe(Word("the")), one_of(slot.called))


def _trim(words: tuple[str, ...]) -> tuple[str, ...]:
    """Without words of politeness and hesitation at either end."""
    start, end = 0, len(words)
    while start < end - 1 and words[start] in _POLITE:
        start += 1
    while end > start + 1 and words[end - 1] in _POLITE:
        end -= 1
    return words[start:end]


def _top(state: State, form: Form) -> State:
    return evolve(state, forms=(*state.forms[:-1], form))


def _say(state: State, text: str) -> Step:
    text = " ".join(text.split())
    return evolve(state, said=text), Say(text)


def _fields(result: str) -> dict[str, Any]:
    """What a template may use of a tool's result."""
    try:
        value = json.loads(result)
    except ValueError:
        return {"result": result}
    if isinstance(value, bool) or not isinstance(value, int | float | dict):
        return {"result": value if isinstance(value, str) else result}
    if isinstance(value, dict):
        return {"result": result} | {str(name): field for name, field in value.items()}
    return {"result": figure(value)}
