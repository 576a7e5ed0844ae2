"""When a training stops before its last epoch."""

from ..config import TrainConfig


def out_of_patience(config: TrainConfig, epochs: int, epoch: int, improved: int) -> bool:
    """Whether the validation ELBO, which improved last after epoch `improved`, has not done so for `patience` of the epochs.

    Epochs of the KL warm-up do not count, nor does a single one.
    """
    waited = epoch - max(improved, config.kl_warmup * epochs)
    return waited > max(1.0, config.patience * epochs)
