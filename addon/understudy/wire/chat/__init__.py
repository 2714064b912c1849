"""The dialect of Chat Completions: its requests as Responses requests, and Responses answers told in its chunks."""
