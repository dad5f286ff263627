"""What the scheduler is told, and what it tells its driver to do. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from emberd.engine.text import Batch, Outcome, Text

__all__ = [
    "BatchDone",
    "BatchFailed",
    "BudgetLowered",
    "CallerDied",
    "CallerReady",
    "CloseModel",
    "Closing",
    "Event",
    "Instruction",
    "ModelLoaded",
    "ModelUnloaded",
    "RestartCaller",
    "RunBatch",
    "Settle",
    "TextsAbandoned",
    "TextsQueued",
]


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """A model can run. `budget` is its tokens a batch; `equal_only` says that it takes no mask."""

    model: str
    budget: int
    equal_only: bool = False


@dataclass(frozen=True, slots=True)
class BudgetLowered:
    """A model has gone on to a slower device: its batches have at most `budget` tokens from now
    on."""

    model: str
    budget: int


@dataclass(frozen=True, slots=True)
class ModelUnloaded:
    """A model is to go: what waits for it is refused, what runs on it may finish."""

    model: str


@dataclass(frozen=True, slots=True)
class TextsQueued:
    """Tokenised texts, oldest first; `seconds` went into that."""

    texts: list[Text]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TextsAbandoned:
    """Nobody waits for these any more."""

    texts: list[Text]


@dataclass(frozen=True, slots=True)
class CallerReady:
    """A caller thread has started and can take a batch."""

    caller: int


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A caller ran its batch; one outcome a text, in the batch's order."""

    caller: int
    outcomes: list[Outcome]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchFailed:
    """A caller's batch raised."""

    caller: int
    error: BaseException
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class CallerDied:
    """A caller thread ended where it should not have, with or without a batch in its hands."""

    caller: int
    error: BaseException


@dataclass(frozen=True, slots=True)
class Closing:
    """No more work is started, and whatever is still open is settled now."""


Event = (
    ModelLoaded
    | BudgetLowered
    | ModelUnloaded
    | TextsQueued
    | TextsAbandoned
    | CallerReady
    | BatchDone
    | BatchFailed
    | CallerDied
    | Closing
)


@dataclass(frozen=True, slots=True)
class RunBatch:
    """Give this batch to this idle caller."""

    caller: int
    batch: Batch


@dataclass(frozen=True, slots=True)
class Settle:
    """Answer these texts. A text is named in one `Settle` at most, ever."""

    outcomes: list[tuple[Text, Outcome]]


@dataclass(frozen=True, slots=True)
class RestartCaller:
    """Start a new thread in the place of a dead caller."""

    caller: int


@dataclass(frozen=True, slots=True)
class CloseModel:
    """Nothing runs on this unloaded model any more: let go of its session."""

    model: str


Instruction = RunBatch | Settle | RestartCaller | CloseModel
