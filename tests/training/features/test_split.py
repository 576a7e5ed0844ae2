"""Splits by chance, by time and by group; copies of rows on one side."""

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae.files import Reading
from aaptvae_training.config import TrainConfig
from aaptvae_training.features import open_features
from aaptvae_training.features.prepare import Prepared, prepare_features
from aaptvae_training.features.split import Split, split_copies, split_groups, split_rows, split_time
from aaptvae_training.progress import TrainingProgress
from aaptvae_training.run import read_config, read_evaluation

from ..conftest import features_of, options, saved, train

SHARES = (0.1, 0.1)


def prepared_from(folder, rows: np.ndarray, **changes: object) -> Prepared:
    with open_features(saved(folder, rows)) as features:
        return prepare_features(features, TrainConfig(**changes), TrainingProgress())


def complete(split, rows: int) -> bool:
    return bool((np.sort(np.concatenate(split)) == np.arange(rows)).all())


@pytest.mark.parametrize("rows", [10, 57, 1797])
def test_without_copies_the_split_is_the_random_one(rows: int) -> None:
    """Interrupted runs of before find their rows again."""
    keys = np.random.default_rng(0).permutation(rows)
    for a, b in zip(split_copies(keys, *SHARES, 3), split_rows(rows, *SHARES, 3), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("times", [2, 20])
def test_copies_stay_together_and_parts_keep_sizes(times: int) -> None:
    keys = np.random.default_rng(0).permutation(np.repeat(np.arange(3000 // times), times))
    split = split_copies(keys, *SHARES, 0)
    assert complete(split, 3000)
    sides = [set(keys[part]) for part in split]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert all(300 <= len(part) < 300 + times for part in split[1:])


def test_a_row_that_is_everywhere_trains() -> None:
    keys = np.concatenate([np.zeros(900, int), np.arange(1, 101)])
    split = split_copies(keys, *SHARES, 0)
    assert complete(split, 1000) and (keys[split.validation] > 0).all() and (keys[split.test] > 0).all()


def test_few_distinct_rows_are_split_like_others() -> None:
    keys = np.arange(1000) % 4
    for a, b in zip(split_copies(keys, *SHARES, 0), split_rows(1000, *SHARES, 0), strict=True):
        np.testing.assert_array_equal(a, b)


def test_later_rows_judge_and_those_before_them_select() -> None:
    split = split_time(100, *SHARES)
    assert split.train.max() < split.validation.min() <= split.validation.max() < split.test.min()
    times = np.random.default_rng(0).permutation(100)
    split = split_time(100, *SHARES, times)
    assert times[split.train].max() < times[split.validation].min()
    assert times[split.validation].max() < times[split.test].min()


@pytest.mark.parametrize("groups", [3, 4, 40])
def test_groups_are_whole_and_every_part_has_one(groups: int) -> None:
    values = np.random.default_rng(0).integers(groups, size=500)
    split = split_groups(values, *SHARES, 0)
    assert complete(split, 500) and min(map(len, split)) > 0
    assert sum(len(np.unique(values[part])) for part in split) == len(np.unique(values))


def test_two_groups_are_refused() -> None:
    with pytest.raises(InputError, match=r"has 2 distinct values: a split by groups needs at least 3"):
        split_groups(np.arange(100) % 2, *SHARES, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": "group"}, "split is group without a column"),
        ({"split_column": 3}, "which a random split does not use"),
        ({"split": "time", "split_column": 12}, "features have 12 columns, numbered from 0 to 11"),
    ],
)
def test_options_that_do_not_fit_are_refused(changes: dict[str, object], words: str, tmp_path) -> None:
    with pytest.raises(InputError, match=words):
        prepared_from(tmp_path, features_of(50), **changes)


def test_held_out_rows_are_those_of_the_column(tmp_path) -> None:
    rows = features_of(200)
    rows[:, 2] = np.random.default_rng(0).permutation(200)
    later = prepared_from(tmp_path, rows, split="time", split_column=2)
    np.testing.assert_array_equal(np.sort(later.test[:, 2]), np.arange(180, 200))
    np.testing.assert_allclose(later.statistics.mean, rows[rows[:, 2] < 160].astype(float).mean(axis=0))
    rows[:, 2] %= 10
    grouped = prepared_from(tmp_path, rows, split="group", split_column=2)
    assert not set(grouped.test[:, 2]) & set(rows[grouped.split.train, 2])


def test_ids_are_groups_and_times() -> None:
    """A video's name and a date are no features, and decide the split all the same."""
    rows = features_of(200)
    video = np.array([f"video {row % 20}" for row in range(200)])
    taken = np.random.default_rng(0).permutation(np.datetime64("2024-01-01") + np.arange(200))
    table = {**{f"f{index}": column for index, column in enumerate(rows.T)}, "video": video, "taken": taken}
    reading = Reading(ids=("video", "taken"))
    with open_features(table, reading) as features:

        def split(by: str, column: str) -> Split:
            return prepare_features(features, TrainConfig(split=by, split_column=column), TrainingProgress()).split

        grouped, later = split("group", "video"), split("time", "taken")
        with pytest.raises(InputError, match="video is 'video 0' in row 0: expected a number, or a date such as 2024-01-31"):
            split("time", "video")
    assert features.width == rows.shape[1]
    parts = [set(video[part]) for part in grouped]
    assert all(parts) and sum(map(len, parts)) == 20
    assert taken[later.train].max() < taken[later.validation].min() and taken[later.validation].max() < taken[later.test].min()


def test_row_keys_compare_values_as_numpy_does(tmp_path) -> None:
    rows = np.random.default_rng(0).integers(-1, 2, (2000, 8)).astype(np.float32)
    rows[rows == 0] *= np.random.default_rng(1).choice([-1.0, 1.0], int((rows == 0).sum()))
    assert prepared_from(tmp_path, rows).copies == 2000 - len(np.unique(rows, axis=0))


def test_copies_are_counted_and_named(tmp_path) -> None:
    """Twenty copies of a small table: held-out rows are new to the model, and a note counts the copies."""
    rows = np.random.default_rng(0).permutation(np.repeat(features_of(30), 20, axis=0))
    train(saved(tmp_path, rows), tmp_path / "run", options(epochs=1))
    config, evaluation = read_config(tmp_path / "run"), read_evaluation(tmp_path / "run")
    assert (config.copies, config.held_out_copies) == (570, 0)
    assert any("570 of 600 rows are copies of earlier rows: copies are on one side" in text for text in evaluation.warnings)


def test_copies_on_both_sides_are_said(tmp_path) -> None:
    rows = np.repeat(features_of(40), 2, axis=0)
    evaluation = train(
        saved(tmp_path, np.concatenate([rows[::2], rows[::2]])), tmp_path / "run", options(split="time", epochs=1)
    )
    assert any("held-out rows equal a training row" in text for text in evaluation.warnings)
