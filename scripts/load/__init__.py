"""The parts of the benchmark: the load backend, the load client, the routing script, and what sets them up."""
