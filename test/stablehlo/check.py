"""Parses StableHLO texts with the dialects that JAX registers, runs them through XLA on the CPU, and compares.

Reads a list of {name, text, inputs, outputs, rtol, atol} from standard input, an array being {dtype, shape, data} and nan and
infinities strings. Writes a list of {name, error} of those that differ to standard output.
"""
import json
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


def run(text, inputs):
    device = jax.devices("cpu")[0]
    with mlir.make_ir_context():
        module = ir.Module.parse(text)
        module.operation.verify()
        options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
        devices = xla_client.DeviceList((device,))
        executable = compiler.backend_compile_and_load(device.client, module, devices, options, [])
    results = executable.execute_sharded([jax.device_put(x, device) for x in inputs])
    return [np.asarray(x[0]) for x in results.disassemble_into_single_device_arrays()]


def check(case):
    results = run(case["text"], [array(x) for x in case["inputs"]])
    expected = [array(x) for x in case["outputs"]]
    if len(results) != len(expected):
        return f"{len(results)} outputs, not {len(expected)}"
    for i, (actual, wanted) in enumerate(zip(results, expected)):
        if actual.dtype != wanted.dtype or actual.shape != wanted.shape:
            return f"output {i} is {actual.dtype}{actual.shape}, not {wanted.dtype}{wanted.shape}"
        np.testing.assert_allclose(
            actual.astype(np.float64), wanted.astype(np.float64), rtol=case["rtol"], atol=case["atol"], err_msg=f"output {i}"
        )
    return None


def attempt(case):
    try:
        return check(case)
    except Exception as error:  # whatever the parser, XLA or the comparison says
        return f"{type(error).__name__}: {str(error)[:1500]}"


failures = [{"name": case["name"], "error": error} for case in json.load(sys.stdin) if (error := attempt(case)) is not None]
json.dump(failures, sys.stdout)
