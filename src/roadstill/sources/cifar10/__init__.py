"""CIFAR-10 in its usual forms."""
