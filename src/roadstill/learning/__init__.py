"""What all trainings share: row order, learning rate, precision, state that can be resumed."""
