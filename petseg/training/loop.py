"""The training loop: epochs over the split, a checkpoint after each, and when to stop."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import keras
import numpy as np

from petseg import progress
from petseg.data.examples import Batch, Examples
from petseg.errors import UserError
from petseg.training import batches, step
from petseg.training.checkpoint import EpochRow, State, Timing
from petseg.training.settings import TrainParams
from petseg.training.step import OptimizerGroup, Step

MAX_LOSS = 100.0  # nats per pixel; a network that guesses has 0.69


class StoppedError(Exception):
    """The training was asked to stop, and its state is saved."""


class DivergedError(UserError):
    """The loss is NaN or far too high."""


def train_epochs(
    model: keras.Model,
    train: Examples,
    val: Examples,
    settings: TrainParams,
    state: State,
    save: Callable[[State], None],
    stop: Callable[[], bool],
) -> Iterator[tuple[EpochRow, Timing]]:
    """Train the model in place, starting from `state`; yield after every epoch.

    Training metrics are means over the epoch while the weights change, as is usual. A training
    that was interrupted and resumed ends with the same weights as one that never was.

    Args:
        model: photos (n, size, size, 3), uint8, to logits (n, size, size, 1).
        train: what to train on.
        val: what decides which epoch is the best.
        settings: the parameters of the training.
        state: where the training starts; it is kept up to date.
        save: called with the state after every epoch, and before `StoppedError` is raised.
        stop: whether to stop; called after every step.

    Raises:
        StoppedError: `stop()` was true after a step; the state is saved.
        DivergedError: the loss is NaN, or above 100 nats per pixel.
    """
    trainer = Trainer(model, settings, len(train), state, save, stop)
    while not state.is_finished(settings.epochs, settings.patience):
        yield trainer.run_epoch(train, val)
        state.epoch, state.batches, state.totals = state.epoch + 1, 0, np.zeros(5)
        trainer.save_state()


class Trainer:
    """A model in training: its optimizers, its steps, and the state that they change."""

    def __init__(
        self,
        model: keras.Model,
        settings: TrainParams,
        photos: int,
        state: State,
        save: Callable[[State], None],
        stop: Callable[[], bool],
    ) -> None:
        self.model, self.settings, self.state = model, settings, state
        self.save, self.stop = save, stop
        self.groups = step.make_optimizers(model, settings, photos)
        restore_state(model, self.groups, state)
        self.train_step = step.make_step(model, settings, self.groups)
        self.val_step = step.make_step(model, settings, None)

    def run_epoch(self, train: Examples, val: Examples) -> tuple[EpochRow, Timing]:
        """Train the rest of the epoch, validate, and add the results to the state."""
        state, started = self.state, time.perf_counter()
        photos = self.train_rest_of_epoch(train)
        photos_per_second = photos / (time.perf_counter() - started)
        val_totals = self.validate(val)
        seconds = time.perf_counter() - started
        timing = Timing(state.epoch, round(seconds, 2), round(photos_per_second, 1))
        row = EpochRow(state.epoch, *summarise(state.totals), *summarise(val_totals))
        state.history.append(row)
        state.timings.append(timing)
        if row is state.best_epoch:
            state.best = self.model.get_weights()
        return row, timing

    def train_rest_of_epoch(self, train: Examples) -> int:
        """Train the batches of the epoch that are not done yet; return how many photos they have."""
        state = self.state
        skip = state.batches * self.settings.batch_size

        def after_step(sums: np.ndarray) -> None:
            state.totals += sums
            state.batches += 1
            self.check_step(sums, f"step {state.batches}")

        epoch_batches = batches.train_batches(train, self.settings, state.epoch, skip)
        title = f"epoch {state.epoch}"
        run_steps(self.train_step, epoch_batches, len(train), title, after_step)
        return max(0, len(train) - skip)

    def validate(self, val: Examples) -> np.ndarray:
        """Return the five sums of the steps over the validation split."""
        totals = np.zeros(5)

        def after_step(sums: np.ndarray) -> None:
            totals[:] += sums
            self.check_step(sums, "validation")

        val_batches = batches.val_batches(val, self.settings.batch_size)
        run_steps(self.val_step, val_batches, len(val), "validation", after_step)
        return totals

    def check_step(self, sums: np.ndarray, place: str) -> None:
        """Refuse a loss that is NaN or too high, and stop if that is asked for."""
        rate = float(self.groups[0].optimizer.learning_rate)
        check_loss(sums, f"epoch {self.state.epoch}, {place}", rate)
        if self.stop():
            self.save_state()
            raise StoppedError

    def save_state(self) -> None:
        """Put the weights of model and optimizers into the state, and save it."""
        self.state.weights = self.model.get_weights()
        self.state.optimizer = [variable.numpy() for variable in optimizer_variables(self.groups)]
        self.save(self.state)


def optimizer_variables(groups: list[OptimizerGroup]) -> list[keras.Variable]:
    """Return the moments and step counts of all optimizers."""
    return [variable for group in groups for variable in group.optimizer.variables]


def restore_state(model: keras.Model, groups: list[OptimizerGroup], state: State) -> None:
    """Set the weights of network and optimizers to those of the state; a new state has none."""
    if state.weights:
        model.set_weights(state.weights)
        for variable, value in zip(optimizer_variables(groups), state.optimizer, strict=True):
            variable.assign(value)


def run_steps(
    step: Step,
    step_batches: Iterator[Batch],
    photos: int,
    title: str,
    after_step: Callable[[np.ndarray], None],
) -> None:
    """Run a step on each batch while the next one is computed; `after_step` gets its sums."""
    with (
        progress.bar(title, photos) as bar,
        closing(batches.prefetch(step_batches)) as prefetched,
    ):
        for batch in prefetched:
            sums = step(*batch).numpy()
            bar.update(len(batch[0]))
            after_step(sums)


def check_loss(sums: np.ndarray, place: str, rate: float) -> None:
    """Refuse a step whose loss is NaN or has exploded.

    Raises:
        DivergedError: the text says where, and at which learning rate.
    """
    loss = sums[0] / max(sums[1], 1)  # a batch may have no pixel that counts
    if not loss < MAX_LOSS:  # this comparison is false for NaN as well
        raise DivergedError(
            f"{place}: the loss is {loss:g} at a learning rate of {rate:g}; lower "
            "train.learning_rate"
        )


def summarise(totals: np.ndarray) -> tuple[float, float, float]:
    """Return (loss, accuracy, IoU) from the five sums of the steps, 6 decimals."""
    loss, pixels, intersection, union, correct = totals.tolist()
    return (
        round(loss / pixels, 6),
        round(correct / pixels, 6),
        round(intersection / union if union else 1.0, 6),
    )
