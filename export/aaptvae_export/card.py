"""The model card of a bundle: everything the manifest knows, for people and for the Hugging Face hub."""

from aaptvae.bundle import MANIFEST, Manifest

_CARD = """---
library_name: aaptvae
pipeline_tag: feature-extraction
tags:
- variational-autoencoder
- onnx
- embeddings
---

# {name}

A variational autoencoder of feature vectors: {input_dim} features to {latent_dim} latents and back, as two ONNX graphs
(opset {opset}) that take and give raw features. Hidden layers {hidden}{skip}; {likelihood} likelihood.

## Use

```python
import aaptvae

vae = aaptvae.load(".")              # this folder
mu, logvar = vae.encode(x)           # x [N, {input_dim}] -> two float32 [N, {latent_dim}]
x_hat = vae.decode(mu)               # [N, {latent_dim}] -> [N, {input_dim}]
new = vae.sample(16, seed=0)         # [16, {input_dim}]
```

```sh
pip install aaptvae
aaptvae verify .                          # digests, structure, golden vectors on this machine
aaptvae encode . features.npy -o latents.npy
aaptvae sample . -n 16 --seed 0 -o new.npy
```

From any other ONNX Runtime (C++, C#, Java, JavaScript), float32 tensors, the first axis is the batch:

| graph | input | outputs |
|---|---|---|
| `encoder.onnx` | `x [batch, {input_dim}]` | `mu [batch, {latent_dim}]`, `logvar [batch, {latent_dim}]` |
| `decoder.onnx` | `z [batch, {latent_dim}]` | `reconstruction [batch, {input_dim}]` |

## Training

{rows:,} rows of {input_dim} features (SHA-256 of the data `{data}`), {epochs} epochs, seed {seed}. The data are not in this bundle.
{columns}
| held-out figure | this model | PCA |
|---|---|---|
{figures}

## Proof

{comparisons} comparisons with torch and with a float64 reference, over batches of 0 to 4096 ordinary, held-out, large, subnormal and zero
rows. The tolerance was {tolerance:g} of max(1, largest reference value); the worst of each graph:

| graph | difference | against | rows |
|---|---|---|---|
{worst}

`golden.npz` holds inputs with torch's own outputs, so `aaptvae verify` repeats the comparison where the bundle runs.
{twins}{compaction}
## Limits

- It knows the features it was trained on; vectors of another extractor have the right width and mean nothing to it.
- The digests in `{manifest}` show damage, not authorship: pin the bundle's digest with `aaptvae.load(..., sha256=...)`.
- `reconstruction` is the mean of the observation model; draws with its noise come from `vae.sample(n, observation_noise=True)`.

Made by {producer}.
"""

_TWINS = """
## Lower precision

Same tensors in float32; losses on held-out rows against fp32.

| precision | bytes | R2 loss | ELBO loss (nats) | cosine of mu |
|---|---|---|---|---|
{rows}
"""

_COMPACTION = """
## Compaction

{left} of {trained} latent directions were left out, keeping {share:.6g} of the variance of mu. On held-out rows this costs {r2:.3g} of R2 and
{elbo:.3g} nats of ELBO.
"""


def write_card(manifest: Manifest) -> str:
    """`README.md` of a bundle, with front matter for the hub."""
    training, columns = manifest.training, manifest.scaler.constant_columns
    return _CARD.format(
        name=manifest.name,
        input_dim=manifest.input_dim,
        latent_dim=manifest.latent_dim,
        opset=manifest.opset,
        hidden=", ".join(map(str, manifest.hidden_dims)),
        skip=" and a linear skip" if manifest.linear_skip else "",
        likelihood=_likelihood(manifest),
        rows=training.rows,
        data=training.data_sha256,
        epochs=training.epochs,
        seed=training.seed,
        columns=f"\n{columns} columns were constant in the held-out rows.\n" if columns else "",
        figures="\n".join(_figure(name, manifest) for name in sorted(training.metrics)),
        comparisons=manifest.parity.comparisons,
        tolerance=manifest.parity.tolerance,
        worst="\n".join(
            f"| {case.graph} | {case.difference:.2g} | {case.reference} | {case.batch} {case.inputs} |" for case in manifest.parity.worst
        ),
        twins=_twins(manifest),
        compaction=_compaction(manifest),
        manifest=MANIFEST,
        producer=", ".join(f"{package} {version}" for package, version in manifest.producer.items()),
    )


def _likelihood(manifest: Manifest) -> str:
    noise = manifest.likelihood
    if noise.kind == "bernoulli":
        return "bernoulli"
    return f"gaussian, sigma {noise.sigma:.4g} ({noise.noise.replace('_', ' ')}) in standardised units,"


def _figure(name: str, manifest: Manifest) -> str:
    baseline = manifest.training.baseline
    other = f"{baseline[name]:.4g}" if name in baseline else ""
    return f"| {name.replace('_', ' ')} | {manifest.training.metrics[name]:.4g} | {other} |"


def _twins(manifest: Manifest) -> str:
    rows = [
        f"| {twin.precision} | {twin.bytes_ratio:.0%} | {twin.r2_loss:.2g} | {twin.elbo_loss:.3g} | {twin.mu_cosine:.5f} |"
        for twin in manifest.twins
    ]
    return _TWINS.format(rows="\n".join(rows)) if rows else ""


def _compaction(manifest: Manifest) -> str:
    cut = manifest.compaction
    if cut is None:
        return ""
    left = cut.trained_latent_dim - manifest.latent_dim
    return _COMPACTION.format(
        left=left, trained=cut.trained_latent_dim, share=cut.variance_share, r2=cut.r2_loss, elbo=cut.elbo_loss
    )
