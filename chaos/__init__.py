"""Chaos: many durable runs while everything dies at random, and the reckoning of what became of each of them."""
