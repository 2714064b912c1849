"""What goes over the wire, as pure functions and values: no I/O, no clock, no mitmproxy."""
