"""Speeds, as ratios of paired runs in the lab; ``make bench`` runs them all."""
