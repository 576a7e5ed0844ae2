"""The model as a user of plain torch meets it: widths, forward, losses, a training loop, generation, interpolation."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aaptvae_training import AAPTVAE

EXAMPLE = Path(__file__).parents[3] / "training" / "examples" / "vae_usage.py"
LAYERS = {
    "encoder.0.weight": (400, 512),
    "encoder.0.bias": (400,),
    "mu.weight": (256, 400),
    "mu.bias": (256,),
    "logvar.weight": (256, 400),
    "logvar.bias": (256,),
    "decoder.0.weight": (400, 256),
    "decoder.0.bias": (400,),
    "decoder.2.weight": (512, 400),
    "decoder.2.bias": (512,),
}


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return AAPTVAE(input_dim=20, latent_dim=6, hidden_dim=16)


def test_the_default_model_has_the_documented_layers():
    vae = AAPTVAE()
    assert (vae.input_dim, vae.latent_dim, vae.hidden_dims, vae.beta) == (512, 256, (400,), 1.0)
    assert {name: tuple(p.shape) for name, p in vae.named_parameters()} == LAYERS
    assert [type(layer).__name__ for layer in vae.encoder] == ["Linear", "ReLU"]
    assert [type(layer).__name__ for layer in vae.decoder] == ["Linear", "ReLU", "Linear"]


def test_forward_gives_a_reconstruction_and_the_posterior():
    vae = AAPTVAE(input_dim=512, latent_dim=256, hidden_dim=400)
    x = torch.randn(7, 512)
    reconstruction, mu, logvar = vae.forward(x)
    assert reconstruction.shape == (7, 512) and mu.shape == logvar.shape == (7, 256)
    assert [t.shape for t in vae(x)] == [(7, 512), (7, 256), (7, 256)]


def test_a_batch_may_have_no_rows_or_one(vae):
    for rows in (0, 1):
        assert [t.shape for t in vae(torch.zeros(rows, 20))] == [(rows, 20), (rows, 6), (rows, 6)]


def test_losses_are_three_scalars_and_add_up(vae):
    x = torch.randn(9, 20)
    for beta in (0.0, 1.0, 2.5):
        vae.beta = beta
        losses = vae.loss_function(*(vae(x)[:1]), x, *vae.encode(x))
        assert list(losses) == ["loss", "reconstruction_loss", "kl_divergence"]
        assert all(isinstance(t, torch.Tensor) and t.shape == () for t in losses.values())
        torch.testing.assert_close(losses["loss"], losses["reconstruction_loss"] + beta * losses["kl_divergence"])


def test_the_default_reconstruction_loss_is_squared_error(vae):
    x = torch.randn(9, 20)
    reconstruction, mu, logvar = vae(x)
    losses = vae.loss_function(reconstruction, x, mu, logvar)
    torch.testing.assert_close(losses["reconstruction_loss"], (reconstruction - x).square().sum(dim=1).mean())
    kl = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(dim=1).mean()
    torch.testing.assert_close(losses["kl_divergence"], kl)


@pytest.mark.parametrize("sigma", [0.5, "learned", "per_feature", "spectral"])
@pytest.mark.parametrize("likelihood", ["gaussian", "student"])
def test_the_gradient_reaches_every_parameter(sigma, likelihood):
    torch.manual_seed(0)
    vae = AAPTVAE(10, 4, (8, 6), linear_skip=True, sigma=sigma, likelihood=likelihood)
    x = torch.randn(16, 10)
    reconstruction, mu, logvar = vae(x)
    vae.loss_function(reconstruction, x, mu, logvar)["loss"].backward()
    idle = [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


def test_a_plain_loop_with_adam_lowers_the_loss():
    torch.manual_seed(0)
    rows = torch.randn(512, 4) @ torch.randn(4, 20)
    vae = AAPTVAE(20, 6, 32)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    dataloader = torch.utils.data.DataLoader(rows, batch_size=16, shuffle=True)
    epochs = []
    for _ in range(12):
        seen = []
        for batch in dataloader:
            optimizer.zero_grad()
            reconstruction, mu, logvar = vae(batch)
            loss_dict = vae.loss_function(reconstruction, batch, mu, logvar)
            loss_dict["loss"].backward()
            optimizer.step()
            seen.append(loss_dict["loss"].item())
        epochs.append(np.mean(seen))
    assert epochs[-1] < 0.5 * epochs[0]
    assert np.isfinite(epochs).all()


def test_latents_drawn_from_the_prior_decode(vae):
    vae.eval()
    with torch.no_grad():
        generated = vae.decode(torch.randn(5, vae.latent_dim))
    assert generated.shape == (5, 20) and torch.isfinite(generated).all()


def test_interpolated_means_decode_and_end_at_the_inputs(vae):
    first, second = torch.randn(1, 20), torch.randn(1, 20)
    mu1, _ = vae.encode(first)
    mu2, _ = vae.encode(second)
    for alpha in (0.0, 0.5, 1.0):
        assert vae.decode(alpha * mu1 + (1 - alpha) * mu2).shape == (1, 20)
    torch.testing.assert_close(vae.decode(1.0 * mu1 + 0.0 * mu2), vae.decode(mu1))


def test_a_draw_follows_the_posterior_and_the_seed(vae):
    mu, logvar = torch.full((20_000, 2), 3.0), torch.full((20_000, 2), 2 * np.log(0.5))
    torch.manual_seed(1)
    z = vae.reparameterize(mu, logvar)
    assert abs(z.mean() - 3.0) < 0.02 and abs(z.std() - 0.5) < 0.02
    torch.manual_seed(1)
    assert torch.equal(z, vae.reparameterize(mu, logvar))


def test_the_decoder_mirrors_the_hidden_widths():
    vae = AAPTVAE(10, 3, (8, 6))
    shapes = [tuple(p.shape) for name, p in vae.named_parameters() if name.endswith("weight")]
    assert shapes == [(8, 10), (6, 8), (3, 6), (3, 6), (6, 3), (8, 6), (10, 8)]
    assert vae.hidden_dims == (8, 6)
    assert AAPTVAE(10, 3, np.int64(5)).hidden_dims == (5,)


@pytest.mark.parametrize("widths", [(0, 2, 3), (4, 0, 3), (4, 2, 0), (4, 2, ()), (4, 2, (3, -1))])
def test_a_width_below_one_is_refused(widths):
    with pytest.raises(ValueError, match=r"got input_dim=\d, latent_dim=\d, hidden_dim=.*every width must be at least 1"):
        AAPTVAE(*widths)


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan"), float("inf"), "per-feature", None])
def test_an_observation_noise_that_means_nothing_is_refused(sigma):
    with pytest.raises(ValueError, match=r"sigma is .*positive and finite"):
        AAPTVAE(4, 2, 3, sigma=sigma)


def test_an_unknown_likelihood_is_refused():
    with pytest.raises(ValueError, match="likelihood is 'laplace': expected gaussian, student or bernoulli"):
        AAPTVAE(4, 2, 3, likelihood="laplace")


def test_posterior_variances_stay_finite_far_from_the_data(vae):
    with torch.no_grad():
        _, logvar = vae.encode(torch.full((1, 20), 1e12))
    assert torch.isfinite(logvar.exp()).all() and logvar.max() <= 20 and logvar.min() >= -30


def test_the_example_trains_samples_and_interpolates(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    losses = [float(line.split("loss")[1].split()[0]) for line in lines if line.startswith("epoch")]
    assert losses[-1] < losses[0]
    explained = float(next(line for line in lines if line.startswith("reconstructions")).split()[2].rstrip("%"))
    assert explained > 50
    assert sum(line.endswith(tuple("0123456789")) and "of the way" in line for line in lines) == 5
    assert shown.err == ""


def test_the_example_takes_a_feature_file(table, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(table)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "samples (8, 12)" in capsys.readouterr().out
