"""What `doctor` looks at: sources, weights and checkpoints, the machine, the processes together."""
