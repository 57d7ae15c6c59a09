"""`bench.sh doctor`: what is there, what is missing and how to fix it, a line each.

It must also answer on a bare Python, before anything is installed: so only the standard library is imported here, and
torch, whose import takes seconds, is read as text. It writes nothing.
"""
