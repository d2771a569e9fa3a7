"""Real-time faces for other programs: a WebSocket server, and outputs to engines by UDP and OSC.

Nothing here is imported by `import bilabial`. Needs the extra `serve`; a microphone needs `mic` too.
"""
