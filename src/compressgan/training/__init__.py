"""Training: data, losses, optimizers, the step, the loop, and the original's experiments."""
