"""What the kernels reach beside the walls of the machine: the tables of docs/performance.md."""
