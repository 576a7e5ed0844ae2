"""report.html: figures and plots of one run."""
