"""Python hooks of a bundle: `preprocess.py` and `postprocess.py`, run apart and held down.

A hook is a blob of role "hook" that the signed manifest names. It runs only where the device's
policy allows hooks, in a child process that was confined before the first line of it was read:
no network, no other process, no file but what Python itself reads and a scratch folder, no memory
beyond its share, no answer later than its patience (`confinement`, `seccomp`, `landlock`). The
server talks to it as to a candidate, in frames of arrays, and believes nothing that comes back:
names, types and finiteness are checked, then the contract.

    def preprocess(inputs):      # dict of numpy arrays by name -> the same names and types
        return {"x": inputs["x"] - inputs["x"].mean()}

    def postprocess(outputs):    # the same for the contract's outputs
        return outputs

A `ValueError` of a hook refuses the request (400); whatever else goes wrong is the hook's fault and
fails that request alone.
"""

from edgewright.device.hooks.process import HookLimits, HookProcess

__all__ = ["HookLimits", "HookProcess"]
