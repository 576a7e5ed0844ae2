"""Published bundles: reproducible bytes, no paths of the machine, complete contents."""

import dataclasses
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from forked import script

import aaptvae
from aaptvae.bundle.graph_specs import decoder_spec, encoder_spec
from aaptvae.bundle.manifest import SCHEMA_VERSION
from aaptvae.bundle.reading import read_bundle
from aaptvae.density.prior import LatentPrior
from aaptvae.errors import BundleError, InputError
from aaptvae.verify import verify
from aaptvae_export import ExportError, ExportOptions, export_bundle
from aaptvae_export.bundle.card import write_card
from aaptvae_export.proof.reference import BATCHES, Reference
from aaptvae_export.variants import quantization
from aaptvae_training.finish.marginal_fit import maps_to_observed
from aaptvae_training.model.as_numpy import observation_of
from aaptvae_training.model.network import silenced

from ..conftest import LARGER, make_run

BOTH = ExportOptions(precisions=("fp32", "fp16"))
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
from export.conftest import LARGER, make_run
from aaptvae_export import ExportOptions, export_bundle
export_bundle(make_run(*LARGER), sys.argv[1] + ".zip", ExportOptions(precisions=("fp32", "fp16")), archive=True)
"""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A zip of the run of `in_both`, made by another process in another folder; and its files."""
    folder = tmp_path_factory.mktemp("elsewhere")
    script(SCRIPT, folder / "b", Path(__file__).parents[2])
    with zipfile.ZipFile(folder / "b.zip") as archive:
        archive.extractall(folder / "b")
    return folder


def test_bytes_are_equal_in_another_process(in_both, elsewhere):
    assert contents(in_both.path) == contents(elsewhere / "b")


@pytest.mark.slow
def test_zip_bytes_are_equal_in_another_process(elsewhere, tmp_path):
    made = export_bundle(make_run(*LARGER), tmp_path / "a.zip", BOTH, archive=True)
    assert (tmp_path / "a.zip").read_bytes() == (elsewhere / "b.zip").read_bytes()
    assert aaptvae.load(tmp_path / "a.zip", sha256=made.digest).latent_dim == 16
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_maps_to_observed_values_are_exported(run, tmp_path):
    """Samples of the bundle are rows of signs, like the rows that the maps were fitted to."""
    signs = np.sign(run.heldout)
    maps = maps_to_observed(run.model, run.prior, signs, 0)
    export_bundle(dataclasses.replace(run, marginals=maps), tmp_path / "b")
    vae = aaptvae.load(tmp_path / "b")
    assert vae.manifest.marginals
    drawn = vae.sample(2_000, seed=0, as_observed=True)
    assert set(drawn.flat) == {-1, 1}
    np.testing.assert_allclose(drawn.mean(axis=0), signs.mean(axis=0), atol=0.1)


def test_a_bernoulli_model_has_no_maps():
    run = make_run(likelihood="bernoulli")
    assert maps_to_observed(run.model, run.prior, np.round(run.heldout), 0) is None


def dark(small):
    """A run with one latent direction of large size, the others of size `small`, and rows of zeros."""
    width, latents = 256, 128
    run, generator = make_run(width, latents, (16,)), np.random.default_rng(0)
    model, size = run.model, torch.full((latents, 1), small)
    size[0] = 40.0
    axes = torch.from_numpy(np.linalg.qr(np.c_[np.ones(width), generator.standard_normal((width, latents - 1))])[0].T).float()
    model.scaler.standardise_by(torch.full((width,), 106.0).double(), torch.full((width,), 80.0).double())
    with torch.no_grad():
        model.mu_skip.weight.copy_(axes / size)
        model.decoder_skip.weight.copy_((axes * size).T)
        for layer in (model.mu, model.logvar, model.decoder[-1]):
            layer.weight.mul_(0.01)
            layer.bias.zero_()
    heldout = np.abs(106 + 80 * generator.standard_normal((64, width))).astype(np.float32)
    heldout[:4] = 0
    return dataclasses.replace(run, heldout=heldout, prior=LatentPrior.standard(latents), observation=observation_of(model))


@pytest.mark.slow
def test_zero_row_is_measured_in_feature_units(tmp_path):
    made = export_bundle(dark(0.3), tmp_path / "a")
    assert made.manifest.parity.tolerance == 1e-5
    assert verify(made.path).passed


@pytest.mark.parametrize("small", [0.01, pytest.param(1e-4, marks=pytest.mark.slow)])
def test_graph_closer_to_float64_than_torch_passes(small, tmp_path):
    """A zero row makes torch subtract products of up to 1e5, which folding in float64 has already cancelled."""
    run = dark(small)
    parity = export_bundle(run, tmp_path / "a", ExportOptions(tolerance=9e-6)).manifest.parity
    beside = {case.reference: case.difference for case in parity.worst if case.graph == "encoder"}
    assert beside["float64"] < parity.tolerance == 9e-6 < beside["torch"]
    assert verify(tmp_path / "a").passed
    card = (tmp_path / "a" / "README.md").read_text()
    assert "rounding errors of torch in float32" in card


def test_float32_error_of_both_loosens_the_tolerance(tmp_path):
    """Large weights whose products cancel on held-out rows: torch and the graph are both beyond 1e-5 from float64."""
    width, latents = 64, 16
    run, generator = make_run(width, latents, mean_size=0.0), np.random.default_rng(0)
    basis = np.linalg.qr(generator.standard_normal((width, width)))[0]
    with torch.no_grad():
        run.model.mu_skip.weight.copy_(torch.from_numpy(80 * basis[:, -latents:].T))
    rows = generator.standard_normal((64, width - latents)) @ basis[:, :-latents].T
    heldout = (run.model.scaler.scale.numpy() * rows).astype(np.float32)
    made = export_bundle(dataclasses.replace(run, heldout=heldout), tmp_path / "a")
    parity = made.manifest.parity
    exact = max(case.difference for case in parity.worst if case.reference == "float64")
    assert 1e-5 < exact <= parity.tolerance <= 1e-4
    report = verify(made.path)
    assert report.passed and report.precisions[0].replays[0].tolerance == parity.tolerance


def test_files_hold_no_path_or_source(elsewhere):
    secrets = [str(elsewhere), sys.prefix, str(Path(torch.__file__).parent), "site-packages", ".py", "Traceback", "forward"]
    for name, data in contents(elsewhere / "b").items():
        text = data.decode("latin-1")
        found = [secret for secret in secrets if secret in text.replace(".npy", "").replace("features.npy", "")]
        assert not found, name


def test_the_graphs_hold_nothing_but_the_computation(exported):
    for graph, operators in {"encoder": "Gemm Relu Gemm Gemm Gemm Add Clip", "decoder": "Gemm Relu Gemm Gemm Add"}.items():
        model = onnx.load(exported.path / f"{graph}.onnx")
        assert sorted(node.op_type for node in model.graph.node) == sorted(operators.split())
        assert (model.ir_version, [item.version for item in model.opset_import], model.model_version) == (
            10,
            [20],
            SCHEMA_VERSION,
        )
        assert not model.graph.value_info and not model.functions and not model.producer_version
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert {tensor.data_location for tensor in model.graph.initializer} == {onnx.TensorProto.DEFAULT}
        assert len(model.metadata_props) == 6


def test_bounded_networks_fade_in_the_graphs_too(tmp_path):
    """All three precisions; a fade costs two reductions and a product of a hidden layer's size, and the likelihood follows."""
    run = make_run(*LARGER, bounded=True, sigma="spectral", likelihood="student")
    with torch.no_grad():
        run.model.broad_log_sigma.fill_(0.7)
    run = dataclasses.replace(run, observation=observation_of(run.model))
    made = export_bundle(run, tmp_path / "a", ExportOptions(precisions=("fp32", "fp16", "int8"), speedup=0.0))
    assert made.manifest.parity.tolerance == 1e-5 and verify(made.path).passed
    operators = [node.op_type for node in onnx.load(made.path / "decoder.onnx").graph.node]
    assert " ".join(operators) == "Gemm Relu ReduceMax ReduceMin Neg Max Mul Add Clip Mul Gemm Gemm Add"
    vae, far = aaptvae.load(made.path), (run.model.scaler.mean + 1e3 * run.model.scaler.scale).float().numpy()[None]
    with torch.no_grad():
        linear = silenced(run.model).encode(torch.from_numpy(far))
    for got, expected in zip(vae.encode(far), linear, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)
    assert run.observation.broad is not None and np.isfinite(vae.log_likelihood(run.heldout, samples=4)).all()


def test_the_runtime_gives_what_torch_gives(run, exported):
    vae, x = aaptvae.load(exported.path), run.heldout
    with torch.no_grad():
        mu, logvar = run.model.encode(torch.from_numpy(x))
        np.testing.assert_allclose(vae.reconstruct(x), run.model.decode(mu), rtol=1e-4, atol=1e-5)
    got = vae.encode(x)
    np.testing.assert_allclose(got[0], mu, atol=1e-5)
    np.testing.assert_allclose(got[1], logvar, atol=1e-5)


def test_golden_vectors_hold_real_and_extreme_rows(run, exported):
    golden = np.load(exported.path / "golden.npz")
    real = int(golden["real_rows"][0])
    np.testing.assert_array_equal(golden["x"][:real], run.heldout[:real])
    extreme = golden["x"][real:]
    assert (extreme == 0).all(axis=1).any()
    assert (np.abs(extreme) > 100).any()
    assert ((extreme != 0) & (np.abs(extreme) < 1e-38)).any()
    reference = Reference(run.model, None, torch.float64)
    np.testing.assert_array_equal(golden["mu"], reference.encode(golden["x"])["mu"].astype(np.float32))
    np.testing.assert_array_equal(golden["reconstruction"], reference.decode(golden["z"])["reconstruction"].astype(np.float32))


def test_the_manifest_reports_every_comparison(run, exported):
    manifest = exported.manifest
    kinds, references = 5, 2
    encoder = kinds * len(BATCHES) * references * 2
    decoder = (kinds - 1) * len(BATCHES) * references
    composed = 2 * (len(BATCHES) - 1) * references
    assert manifest.parity.comparisons == encoder + decoder + composed + 1
    assert (manifest.encoder, manifest.decoder) == (encoder_spec(12, 4), decoder_spec(12, 4))
    assert manifest.producer["torch"].partition("+")[0] == torch.__version__.partition("+")[0]  # a build's name, or none
    assert manifest.training == run.summary
    assert (manifest.name, manifest.prior.kind, manifest.prior.components) == ("vae-12-4", "mixture", 2)


def test_the_card_says_whose_figures_it_gives(run, tmp_path):
    """After a refit they are those of the judged model."""
    refitted = dataclasses.replace(run, summary=msgspec.structs.replace(run.summary, refit=True))
    made = export_bundle(refitted, tmp_path / "a").manifest
    assert made.training.refit and "fitted again to all rows" in write_card(made)
    plain = msgspec.structs.replace(made, training=run.summary)
    assert not plain.training.refit and "fitted again" not in write_card(plain)


def test_graphs_of_two_bundles_do_not_mix(exported, tmp_path):
    shutil.copytree(exported.path, tmp_path / "a")
    export_bundle(make_run(seed=1), tmp_path / "b")
    a, b = read_bundle(tmp_path / "a").manifest, read_bundle(tmp_path / "b").manifest
    assert a.pair_id != b.pair_id
    for graph in ("encoder", "decoder"):
        stamped = {item.key: item.value for item in onnx.load(tmp_path / "a" / f"{graph}.onnx").metadata_props}
        assert stamped["aaptvae.pair_id"] == a.pair_id
        assert stamped["aaptvae.graph"] == graph
    (tmp_path / "a" / "decoder.onnx").write_bytes((tmp_path / "b" / "decoder.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"decoder\.onnx"):
        aaptvae.load(tmp_path / "a")


def test_every_precision_verifies(in_both):
    assert verify(in_both.path).passed


def test_existing_output_is_refused_first(run, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="exists: add --force"):
        export_bundle(None, tmp_path / "a")
    with pytest.raises(InputError, match="is not a folder"):
        export_bundle(None, tmp_path / "missing" / "a")


def test_a_run_without_held_out_rows_is_refused(run, tmp_path):
    with pytest.raises(ExportError, match="no held-out rows"):
        export_bundle(dataclasses.replace(run, heldout=run.heldout[:0]), tmp_path / "a")


# Twins


def test_fp16_halves_bytes_and_keeps_figures(in_both):
    made = in_both
    (twin,) = made.manifest.twins
    assert twin.bytes_ratio < 0.6 and abs(twin.r2_loss) < 1e-3 and twin.mu_cosine > 0.9999
    assert set(made.rows_per_second) == {"fp32", "fp16"}
    assert b"rows_per_second" not in (made.path / "manifest.json").read_bytes()
    assert aaptvae.load(made.path, precision="fp16").encode(np.zeros((3, 128)))[0].dtype == np.float32


def test_inaccurate_fp16_is_refused_with_its_figure(tmp_path, monkeypatch):
    convert = quantization.to_fp16

    def coarse(model):
        twin = convert(model)
        for tensor in twin.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if values.dtype == np.float16:
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.round(values * 2) / np.float16(2), tensor.name))
        return twin

    monkeypatch.setitem(quantization.CONVERTERS, "fp16", coarse)
    with pytest.raises(ExportError, match=r"fp16 encoder and decoder: .* on 64 held-out rows; at (most|least) \S+ is"):
        export_bundle(make_run(*LARGER), tmp_path / "a", BOTH)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mean_size", [pytest.param(1.0, marks=pytest.mark.slow), 1e3])
def test_nearly_constant_column_keeps_fp16_accurate(mean_size, tmp_path):
    run = make_run(*LARGER, rows=256, mean_size=mean_size)
    mean, scale = run.model.scaler.mean, run.model.scaler.scale
    scale[0], mean[0] = 1e-8, 0.0
    run.heldout[:, 0] = 1e-8 * np.linspace(-2, 2, len(run.heldout))
    observation = dataclasses.replace(run.observation, mean=mean.numpy(), scale=scale.numpy())
    made = export_bundle(dataclasses.replace(run, observation=observation), tmp_path / "a", BOTH)
    assert abs(made.manifest.twins[0].r2_loss) < 1e-4 and made.manifest.twins[0].mu_cosine > 0.9999


@pytest.mark.slow
def test_int8_is_offered_only_where_it_is_faster(tmp_path):
    run = make_run(384, 256, (400,), rows=512)
    run.model.scaler.scale[:] = 0.05
    run = dataclasses.replace(run, observation=dataclasses.replace(run.observation, scale=run.model.scaler.scale.numpy()))
    try:
        made = export_bundle(run, tmp_path / "a", ExportOptions(precisions=("int8",)))
    except ExportError as refusal:
        assert re.search(r"int8 .* rows per second here where fp32 does [\d,]+", str(refusal))
        return
    (twin,) = made.manifest.twins
    assert twin.bytes_ratio <= 0.3 and twin.r2_loss < 0.01
    assert made.rows_per_second["int8"] >= made.rows_per_second["fp32"]
    vae = aaptvae.load(tmp_path / "a", precision="int8")
    whole = vae.encode(run.heldout)
    for rows in (1, 2, 3, 17, 64, 65, 257):
        part = vae.encode(run.heldout[:rows])
        assert all(np.array_equal(a, b[:rows]) for a, b in zip(part, whole, strict=True))
    assert vae.encode(np.zeros((0, 384)))[0].shape == (0, 256)


def test_slow_int8_is_refused_with_both_rates(tmp_path):
    run = make_run(*LARGER, rows=512)
    with pytest.raises(ExportError, match=r"int8 .*: [\d,]+ rows per second here where fp32 does [\d,]+, .* at least 50:"):
        export_bundle(run, tmp_path / "a", ExportOptions(precisions=("int8",), speedup=50))
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="speedup is nan: expected a factor from 0 up"):
        ExportOptions(speedup=float("nan"))


# Compaction


def test_redundant_latents_are_dropped_without_loss(tmp_path):
    run = make_run(12, 6, (9,), rows=200)
    with torch.no_grad():
        for layer in (run.model.mu, run.model.mu_skip):
            layer.weight[3:] = 0
            layer.weight[3:] = 0.5 * layer.weight[:3]  # six latents, three directions
    made = export_bundle(run, tmp_path / "a", ExportOptions(compact=1 - 1e-9))
    cut = made.manifest.compaction
    assert made.manifest.latent_dim == 3 and cut.trained_latent_dim == 6
    assert abs(cut.r2_loss) < 1e-5
    vae, x = aaptvae.load(tmp_path / "a"), run.heldout
    with torch.no_grad():
        mu, _ = run.model.encode(torch.from_numpy(x))
        np.testing.assert_allclose(vae.reconstruct(x), run.model.decode(mu), rtol=1e-3, atol=1e-4)


def test_keeping_less_costs_what_the_manifest_says(tmp_path):
    run = make_run(12, 6, (9,), rows=200)
    whole = aaptvae.load(export_bundle(run, tmp_path / "a").path)
    made = export_bundle(run, tmp_path / "b", ExportOptions(compact=0.7))
    kept = aaptvae.load(made.path)
    assert made.manifest.latent_dim < 6
    error = [vae.score(run.heldout).reconstruction_error.mean() for vae in (whole, kept)]
    spread = np.square((run.heldout - run.heldout.mean(0)) / run.observation.scale).mean()
    assert made.manifest.compaction.r2_loss == pytest.approx((error[1] - error[0]) / spread, rel=1e-4)


def test_compacted_prior_is_the_marginal(run):
    basis = torch.linalg.qr(torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0].T
    kept = run.prior.marginal(basis.numpy())
    drawn = run.prior.draw(0, 0, 200_000) @ basis.numpy().T
    mean = kept.weights @ kept.means
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.02)
    second = sum(w * (f @ f.T + np.outer(m, m)) for w, m, f in zip(kept.weights, kept.means, kept.factors, strict=True))
    np.testing.assert_allclose(np.cov(drawn.T), second - np.outer(mean, mean), atol=0.03)
    assert LatentPrior.standard(4).marginal(basis.numpy()).latent_dim == 2


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0])
def test_share_out_of_range_is_refused(share, run, tmp_path):
    with pytest.raises(InputError, match="expected a share"):
        export_bundle(run, tmp_path / "a", ExportOptions(compact=share))


def test_too_few_rows_to_judge_latents_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"7 held-out rows: compact expects 8 or more"):
        export_bundle(make_run(rows=7), tmp_path / "a", ExportOptions(compact=0.9))


def test_the_report_is_plain_json(in_both):
    report = json.loads(json.dumps(in_both.report()))
    assert report["digest"] == in_both.digest and report["parity"]["tolerance"] == 1e-5
    assert any("fp16" in line for line in in_both.summary())
