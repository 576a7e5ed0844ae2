"""The model in plain torch, without the trainer: fit it, draw from it, walk through its latent space.

Run it: python training/examples/vae_usage.py [FEATURES.npy]. Without a file it makes features of its own.
"""

import sys

import numpy as np
import torch

from aaptvae_training import AAPTVAE

EPOCHS, BATCH = 20, 64


def make_features(rows: int = 1024, width: int = 32, causes: int = 4) -> torch.Tensor:
    """Features that a few hidden causes explain: [rows, width]."""
    hidden = torch.randn(rows, causes)
    return 5 + torch.tanh(hidden @ torch.randn(causes, width)) + 0.1 * torch.randn(rows, width)


def train(vae: AAPTVAE, features: torch.Tensor) -> None:
    """Maximise the ELBO with Adam, batch by batch."""
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in features[torch.randperm(len(features))].split(BATCH):
            optimizer.zero_grad()
            reconstruction, mu, logvar = vae(batch)
            losses = vae.loss_function(reconstruction, batch, mu, logvar)
            losses["loss"].backward()
            optimizer.step()
            total += losses["loss"].item() * len(batch)
        if epoch % 5 == 0 or epoch == EPOCHS - 1:
            print(f"epoch {epoch + 1:3d}   loss {total / len(features):8.3f} nats per row")


@torch.no_grad()
def show(vae: AAPTVAE, features: torch.Tensor) -> None:
    """Use a trained model: reconstruct, sample, interpolate."""
    mu, _ = vae.encode(features)
    explained = 1 - (vae.decode(mu) - features).var(dim=0).sum() / features.var(dim=0).sum()
    print(f"reconstructions explain {explained:.1%} of the variance")

    samples = vae.decode(torch.randn(8, vae.latent_dim))
    print(f"samples {tuple(samples.shape)}: mean {samples.mean():.2f}, features {features.mean():.2f}")

    for share in torch.linspace(0, 1, 5):
        between = vae.decode((1 - share) * mu[:1] + share * mu[1:2])
        distance = (between - features[0]).norm()
        print(f"{share:.0%} of the way from row 0 to row 1: distance from row 0 is {distance:.2f}")


def main() -> None:
    """Train on a file, or on features made here, and show the outcome."""
    torch.manual_seed(0)
    features = torch.from_numpy(np.load(sys.argv[1]).astype(np.float32)) if len(sys.argv) > 1 else make_features()
    vae = AAPTVAE(input_dim=features.shape[1], latent_dim=8, hidden_dim=64, sigma="learned")
    # Features far from zero, or of unlike units, train badly: let the model standardise what it is given.
    vae.scaler.standardise_by(features.mean(dim=0), features.std(dim=0).clamp(min=1e-6))
    train(vae, features)
    vae.eval()
    show(vae, features)


if __name__ == "__main__":
    main()
