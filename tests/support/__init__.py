"""What tests share: a real proxy as a process, real programs, certificates."""
