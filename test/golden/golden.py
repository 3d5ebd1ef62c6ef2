"""Shared by every script here: how a value becomes JSON, and how a file is written.

A file is {"made_by", "versions", "cases": {group: [case, ...]}}. README.md describes cases and values.
"""

import json
import math
import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

HERE = os.path.dirname(os.path.abspath(__file__))


def number(x):
    """One element: integers and booleans as integers, floats with the fewest digits that read back exactly."""
    if isinstance(x, (bool, np.bool_)):
        return int(x)
    if isinstance(x, (int, np.integer)):
        return int(x)
    f = float(x)
    if math.isnan(f):
        return "NaN"
    if math.isinf(f):
        return "Infinity" if f > 0 else "-Infinity"
    if isinstance(x, (float, np.float64)):
        return f
    return float(str(np.float32(x)))


def array(x):
    """{"shape", "dtype", "data"}, and "weak_type": true where JAX says so."""
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        words = np.asarray(jax.random.key_data(x))
        return {"shape": list(x.shape), "dtype": "key<fry>", "data": [int(w) for w in words.ravel()]}
    a = np.asarray(x)
    name = a.dtype.name
    flat = a.ravel()
    if name in ("float16", "bfloat16"):
        flat = flat.astype(np.float32)
    out = {"shape": list(a.shape), "dtype": name, "data": [number(v) for v in flat]}
    if isinstance(x, jax.Array) and getattr(x, "weak_type", False):
        out["weak_type"] = True
    return out


def value(x):
    """A result: arrays as above, tuples and lists as lists, dicts as objects, dtypes as their names."""
    if x is None or isinstance(x, str):
        return x
    if isinstance(x, (jax.Array, np.ndarray, np.generic)):
        return array(x)
    if isinstance(x, bool):
        return x
    if isinstance(x, (int, float)):
        return number(x)
    if isinstance(x, dict):
        return {str(k): value(v) for k, v in x.items()}
    if isinstance(x, (tuple, list)):
        return [value(v) for v in x]
    if isinstance(x, jnp.dtype) or isinstance(x, type):
        return jnp.dtype(x).name
    raise TypeError(f"cannot write {type(x)}")


def argument(x):
    """An argument: as a value, but a Python scalar is {"scalar": "int" | "float" | "bool", "value"}.

    A tuple of Python integers (a shape, axes) stays a plain list.
    """
    if isinstance(x, bool):
        return {"scalar": "bool", "value": x}
    if isinstance(x, int):
        return {"scalar": "int", "value": x}
    if isinstance(x, float):
        return {"scalar": "float", "value": number(x)}
    if isinstance(x, (tuple, list)):
        return [v if type(v) is int else argument(v) for v in x]
    if isinstance(x, dict):
        return {k: argument(v) for k, v in x.items()}
    return value(x)


def attempt(thunk):
    """{"out": value}, or {"error": type, "message": first line} where the library refuses."""
    try:
        return {"out": value(thunk())}
    except Exception as e:  # every refusal is a fact to record
        lines = str(e).strip().splitlines()
        return {"error": type(e).__name__, "message": lines[0] if lines else ""}


def resolve(op):
    """The function that a dotted name like "jnp.add" or "nn.initializers.zeros" stands for."""
    from flax import nnx

    roots = {"jnp": jnp, "lax": jax.lax, "nn": jax.nn, "nnx": nnx, "random": jax.random, "optax": optax}
    root, *rest = op.split(".")
    f = roots[root]
    for part in rest:
        f = getattr(f, part)
    return f


class Cases:
    """Collects cases by group; a name is given once."""

    def __init__(self):
        self.groups = {}
        self.names = set()
        self.surprises = []

    def put(self, group, name, **fields):
        assert name not in self.names, f"case {name} is given twice"
        self.names.add(name)
        self.groups.setdefault(group, []).append({"name": name, **fields})

    def call(self, group, variant, op, *args, expect_error=False, **params):
        """Calls `op` by name with `args` and keyword `params`, and records what came of it."""
        result = attempt(lambda: resolve(op)(*args, **params))
        if ("error" in result) != expect_error:
            self.surprises.append(f"{op}/{variant}: {result}"[:300])
        self.put(
            group,
            f"{op}/{variant}",
            op=op,
            args=[argument(a) for a in args],
            params={k: value(v) for k, v in params.items()},
            **result,
        )

    def write(self, file):
        """One case a line, so that a difference shows which case changed."""
        assert not self.surprises, "refused or not refused against expectation:\n" + "\n".join(self.surprises)
        versions = {m.__name__: m.__version__ for m in (jax, flax, optax, np)}
        dump = lambda x: json.dumps(x, separators=(",", ":"), allow_nan=False)
        groups = [
            f" {json.dumps(g)}: [\n" + ",\n".join("  " + dump(c) for c in cases) + "\n ]"
            for g, cases in self.groups.items()
        ]
        path = os.path.join(HERE, file)
        with open(path, "w") as out:
            out.write("{\n")
            out.write(f'"made_by": {dump(os.path.basename(sys.argv[0]))},\n')
            out.write(f'"versions": {dump(versions)},\n')
            out.write('"cases": {\n' + ",\n".join(groups) + "\n}\n}\n")
        count = sum(map(len, self.groups.values()))
        print(f"{file}: {count} cases, {os.path.getsize(path) / 1024:.0f} KB")
