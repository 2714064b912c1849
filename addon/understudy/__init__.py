"""Understudy: a program's OpenAI Responses calls, carried out by the user's own ChatGPT accounts."""

__version__ = "0.1.0"
