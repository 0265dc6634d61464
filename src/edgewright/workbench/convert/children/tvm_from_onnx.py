"""Runs where Apache TVM is: `model.onnx` to `model.so`. `argv[1]`, if given, is a CPU by LLVM's
name (`skylake-avx512`); without it the library runs on every CPU of this architecture.
"""

import sys

sys.modules["torch"] = None  # type: ignore[assignment]  # TVM would load it, for seconds, and not use it

import onnx  # noqa: E402
import tvm  # noqa: E402
from tvm.relax.frontend.onnx import from_onnx  # noqa: E402
from tvm.target import codegen  # noqa: E402

# Without symbols and number of the build, which would differ or name this machine's files.
LINKING = ("-shared", "-fPIC", "-s", "-Wl,--build-id=none")


def main(cpu: str = "") -> None:
    """Import with the weights inside, compile, and link with the system's compiler."""
    if cpu and cpu not in map(str, codegen.llvm_get_cpu_archlist(tvm.target.Target("llvm"))):
        # LLVM itself would take another CPU and go on.
        sys.exit(f"Error: LLVM knows no CPU {cpu!r} (--arch), for example: skylake-avx512")
    module = from_onnx(onnx.load("model.onnx"), keep_params_in_input=False)
    target = tvm.target.Target({"kind": "llvm", **({"mcpu": cpu} if cpu else {})})
    tvm.compile(module, target=target).export_library("model.so", options=list(LINKING))


main(*sys.argv[1:])
