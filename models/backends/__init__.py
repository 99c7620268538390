"""Tortoise's clients, with what they leave out."""
