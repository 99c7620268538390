"""Whom we call: a client for the server API of WeCom, and a sandbox that plays it."""
