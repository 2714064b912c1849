"""What makes programs on this machine go through the proxy: its authority, their environment, redirection."""
