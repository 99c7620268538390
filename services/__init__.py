"""The rules: what may happen to an account, and why not."""
