"""Scaling of the columns before an encoder is quantised."""

import numpy as np
import pytest

from aaptvae_export.graph import trace_pair
from aaptvae_export.variants import unfold_scaler

from ..conftest import make_run


@pytest.mark.parametrize(("constant", "scaled"), [(False, True), (True, False)])
def test_deviation_of_one_is_scaled_unless_constant(constant, scaled):
    """Other columns have deviation 0.05: a varying column of deviation 1 makes them uneven, a constant one does not."""
    run, scale, mask = make_run(), np.full(12, 0.05), np.zeros(12, bool)
    scale[0], mask[0] = 1.0, constant
    model = unfold_scaler(trace_pair(run.model).encoder.model, np.full(12, 0.04), scale, mask)
    assert ("Mul" in [node.op_type for node in model.graph.node]) is scaled
