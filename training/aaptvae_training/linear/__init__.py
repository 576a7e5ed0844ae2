"""The linear optimum (probabilistic PCA) that training starts from and that every figure is compared with."""
