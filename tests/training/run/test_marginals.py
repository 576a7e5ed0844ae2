"""The maps of samples to observed values in the folder of a run."""

import numpy as np
import pytest

from aaptvae.density.marginals import Marginals
from aaptvae_training.errors import RunError
from aaptvae_training.run import read_marginals, read_run, write_marginals
from aaptvae_training.run.layout import MARGINALS

MAPS = Marginals(np.array([1, 2]), np.array([-1.0, 0.0]), np.array([0.0, 1.0, 2.0]), np.array([5.0, 3.0, 4.0]))


def test_a_finished_run_has_maps_of_its_columns(finished):
    run = read_run(finished)
    assert run.marginals is not None and len(run.marginals.counts) == run.config.input_dim
    assert (run.marginals.rules == 0).all()


def test_maps_are_read_as_written(tmp_path):
    write_marginals(tmp_path, MAPS)
    again = read_marginals(tmp_path, 2)
    assert again is not None
    for name, array in vars(MAPS).items():
        np.testing.assert_array_equal(getattr(again, name), array)
    write_marginals(tmp_path, None)
    assert read_marginals(tmp_path, 2) is None and not (tmp_path / MARGINALS).exists()


def test_damaged_maps_are_refused(tmp_path):
    write_marginals(tmp_path, MAPS)
    with pytest.raises(RunError, match="counts is"):
        read_marginals(tmp_path, 3)
    write_marginals(tmp_path, Marginals(MAPS.counts, MAPS.rules, MAPS.quantiles[::-1], MAPS.values))
    with pytest.raises(RunError, match="do not ascend"):
        read_marginals(tmp_path, 2)
