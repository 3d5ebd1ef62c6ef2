"""Parses StableHLO texts with the dialects that JAX registers, runs them through XLA on the CPU, and compares.

Reads a list of {name, text, inputs, runs, calls, rtol, atol} from standard input, an array being {dtype, shape, data} and nan
and infinities strings. A text is run once for each list of outputs in `runs`; an input that an output takes over (the
text's `tf.aliasing_output`) is that output in the next run. `calls` are the first elements that callbacks get. Writes a
list of {name, error} of those that differ to standard output.
"""
import ctypes
import json
import re
import sys

import jax
import numpy as np
from jax._src import compiler
from jax._src.interpreters import mlir
from jax._src.lib.mlir import ir
from jaxlib import xla_client

jax.config.update("jax_enable_x64", True)


def array(x):
    dtype = jax.numpy.dtype(x["dtype"])
    return np.array([float(v) for v in x["data"]]).astype(dtype).reshape(x["shape"])


calls = []


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))
def callback(_, operands):
    calls.append(ctypes.cast(operands[0], ctypes.POINTER(ctypes.c_float))[0])


def register():
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype = ctypes.py_object
    capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    target = capsule(ctypes.cast(callback, ctypes.c_void_p), b"xla._CUSTOM_CALL_TARGET", None)
    xla_client.register_custom_call_target("linum_callback", target, platform="cpu", api_version=0)


register()


def compiled(text, device):
    with mlir.make_ir_context():
        module = ir.Module.parse(text)
        module.operation.verify()
        options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
        devices = xla_client.DeviceList((device,))
        return compiler.backend_compile_and_load(device.client, module, devices, options, [])


def donated(text):
    pattern = r"%arg(\d+): tensor<[^>]*> {tf\.aliasing_output = (\d+) : i32}"
    return {int(i): int(o) for i, o in re.findall(pattern, text.split("\n")[1])}


def differences(results, expected, case, which):
    if len(results) != len(expected):
        return f"{len(results)} outputs, not {len(expected)}"
    for i, (actual, wanted) in enumerate(zip(results, expected)):
        if actual.dtype != wanted.dtype or actual.shape != wanted.shape:
            return f"output {i} is {actual.dtype}{actual.shape}, not {wanted.dtype}{wanted.shape}"
        np.testing.assert_allclose(
            actual.astype(np.float64), wanted.astype(np.float64), rtol=case["rtol"], atol=case["atol"],
            err_msg=f"output {i} of run {which}"
        )
    return None


def check(case):
    device = jax.devices("cpu")[0]
    executable = compiled(case["text"], device)
    aliases = donated(case["text"])
    inputs = [jax.device_put(array(x), device) for x in case["inputs"]]
    calls.clear()
    for which, expected in enumerate(case["runs"]):
        out = executable.execute_sharded(inputs).disassemble_into_single_device_arrays()
        outputs = [x[0] for x in out]
        results = [np.asarray(x) for x in outputs]
        lost = [i for i in aliases if not inputs[i].is_deleted()]
        if lost:
            return f"inputs {lost} were not donated"
        error = differences(results, [array(x) for x in expected], case, which)
        if error is not None:
            return error
        inputs = [jax.device_put(results[aliases[i]], device) if i in aliases else x for i, x in enumerate(inputs)]
    if "calls" in case and calls != case["calls"]:
        return f"callbacks got {calls}, not {case['calls']}"
    return None


def attempt(case):
    try:
        return check(case)
    except Exception as error:  # whatever the parser, XLA or the comparison says
        return f"{type(error).__name__}: {str(error)[:1500]}"


failures = [{"name": case["name"], "error": error} for case in json.load(sys.stdin) if (error := attempt(case)) is not None]
json.dump(failures, sys.stdout)
