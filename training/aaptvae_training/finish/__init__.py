"""After the last epoch: correct the decoder, fit the prior, evaluate, write the report."""
