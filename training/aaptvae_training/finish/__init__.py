"""After the last epoch: the correction of the decoder, the views, the prior, and maps to observed values."""
