"""The same networks and tasks in PyTorch. Needs PyTorch; only the benchmarks import it."""
