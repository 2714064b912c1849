"""Tests of the loopback ChatGPT that every other test leans on."""
