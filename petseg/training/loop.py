"""The training loop: epochs over the memory maps, the step, and the history."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import keras
import numpy as np

from petseg import progress
from petseg.data.arrays import Split
from petseg.errors import UserError
from petseg.training import batches, step
from petseg.training.batches import Batch
from petseg.training.checkpoint import EpochRow, State, Timing
from petseg.training.settings import Schedule
from petseg.training.step import OptimizerGroup, Step

EXPLODED = 100.0  # nats per pixel; a network that knows nothing has 0.69


class StoppedError(Exception):
    """The training was asked to stop, and has saved its state."""


class DivergedError(UserError):
    """The loss is no number any more, or far beyond one."""


def train_epochs(
    model: keras.Model,
    train: Split,
    val: Split,
    schedule: Schedule,
    state: State,
    save: Callable[[State], None],
    stop: Callable[[], bool],
) -> Iterator[tuple[EpochRow, Timing]]:
    """Train the model in place from where `state` is; yield after every epoch, then save it.

    Training figures are means over the epoch while the weights change, as is usual.
    Shuffling and augmentation depend on the seed and the epoch alone, so that a state that is
    gone on with ends as if nothing had come between.

    Raises:
        StoppedError: `stop()` was true after a step; the state is saved.
        DivergedError: the loss is no number any more, or above 100 nats per pixel.
    """
    parts = step.make_optimizers(model, schedule, len(train))
    restore_state(model, parts, state)
    train_step = step.make_step(model, schedule.loss, schedule.border, parts)
    val_step = step.make_step(model, schedule.loss, schedule.border, None)

    def keep() -> None:
        state.weights = model.get_weights()
        state.optimizer = [variable.numpy() for variable in optimizer_variables(parts)]
        save(state)

    def stepped(sums: np.ndarray, where: str) -> None:
        check_loss(sums, f"epoch {state.epoch}, {where}", float(parts[0].optimizer.learning_rate))
        if stop():
            keep()
            raise StoppedError

    def trained(sums: np.ndarray) -> None:
        state.totals += sums
        state.batches += 1
        stepped(sums, f"step {state.batches}")

    while not state.is_finished(schedule.epochs, schedule.patience):
        epoch, started = state.epoch, time.perf_counter()
        done = state.batches * schedule.batch_size
        rest = batches.train_batches(train, schedule, epoch, done)
        run_steps(train_step, rest, len(train), f"epoch {epoch}", trained)
        seconds = time.perf_counter() - started
        tested = np.zeros(5)

        def validated(sums: np.ndarray, total: np.ndarray = tested) -> None:
            total += sums
            stepped(sums, "validation")

        run_steps(
            val_step,
            batches.val_batches(val, schedule.batch_size),
            len(val),
            "validation",
            validated,
        )
        whole = round(time.perf_counter() - started, 2)
        timing = Timing(epoch, whole, round(max(0, len(train) - done) / seconds, 1))
        row = EpochRow(epoch, *summarise(state.totals), *summarise(tested))
        state.history.append(row)
        state.timings.append(timing)
        if row is state.best_epoch:
            state.best = model.get_weights()
        yield row, timing
        state.epoch, state.batches, state.totals = epoch + 1, 0, np.zeros(5)
        keep()


def optimizer_variables(parts: list[OptimizerGroup]) -> list[keras.Variable]:
    """Return what the optimizers remember."""
    return [variable for part in parts for variable in part.optimizer.variables]


def restore_state(model: keras.Model, parts: list[OptimizerGroup], state: State) -> None:
    """Give network and optimizers what they had when the state was saved."""
    if state.weights:
        model.set_weights(state.weights)
        for variable, value in zip(optimizer_variables(parts), state.optimizer, strict=True):
            variable.assign(value)


def run_steps(
    step: Step,
    made: Iterator[Batch],
    photos: int,
    title: str,
    done: Callable[[np.ndarray], None],
) -> None:
    """Take a step with each batch while the next is made, and hand its sums to `done`."""
    with progress.bar(title, photos) as bar, closing(batches.prefetch(made)) as ready:
        for batch in ready:
            sums = step(*batch).numpy()
            bar.update(len(batch[0]))
            done(sums)


def check_loss(sums: np.ndarray, where: str, rate: float) -> None:
    """Refuse a step whose loss is no number, or has exploded.

    Raises:
        DivergedError: the text says where, and at which learning rate.
    """
    loss = sums[0] / sums[1]
    if not loss < EXPLODED:  # so that NaN is caught
        raise DivergedError(
            f"{where}: the loss is {loss:g} at a learning rate of {rate:g}; lower "
            "train.learning_rate"
        )


def summarise(total: np.ndarray) -> tuple[float, float, float]:
    """Return (loss, accuracy, IoU) from the step's five sums, 6 decimals."""
    loss, pixels, hits, union, right = total.tolist()
    return (
        round(loss / pixels, 6),
        round(right / pixels, 6),
        round(hits / union if union else 1.0, 6),
    )
