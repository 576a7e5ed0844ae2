"""Real tables that ship inside packages, and what models are worth on them."""
