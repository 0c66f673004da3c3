"""Ways to install magetui without a clone. `docs/install.md` says which one fits which host."""
