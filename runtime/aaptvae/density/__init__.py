"""Densities in nats: the observation model, the prior of latents, bounds of log p(x), and seeded noise."""
