"""`aaptvae serve`: bundles over HTTP, in the Open Inference Protocol, version 2. Needs the extra `serve`."""
