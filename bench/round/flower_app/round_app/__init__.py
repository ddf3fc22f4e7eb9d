"""Flower's side of the bench: the same perceptron on the same digits, in Flower's own terms."""
