"""What runs on the device: the agent that installs models and the server that runs them.

Its rooms are blind to each other (`chain` hands one what it needs of another), and nothing here
reaches a training framework, a database or a web framework.
"""
