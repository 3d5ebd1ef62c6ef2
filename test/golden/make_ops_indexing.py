"""ops_indexing.json: x[index] and x.at[index].

A case has "x", "index" (a list, as between the brackets: a number, {"slice": [start, stop, step]}, "...", "None", or an array, a mask being a
bool array), for .at also "method", "args" and "params", and then "out". An index that JAX refuses has "error".
"""

import jax.numpy as jnp
import numpy as np

from golden import Cases, argument, attempt, value

rng = np.random.RandomState(1)
cases = Cases()
nan, inf = float("nan"), float("inf")

v = jnp.arange(6.0)
m = jnp.arange(12).reshape(3, 4)
t = jnp.arange(24.0).reshape(2, 3, 4)
A = jnp.array
S = np.s_
ARRAYS = {"v6": v, "m34": m, "t234": t}


def entry(i):
    if i is None:
        return "None"
    if i is Ellipsis:
        return "..."
    if isinstance(i, slice):
        return {"slice": [i.start, i.stop, i.step]}
    if isinstance(i, bool):
        return {"scalar": "bool", "value": i}
    if isinstance(i, int):
        return i
    return value(jnp.asarray(i))


def text(i):
    """The index as Python would write it, arrays as A(...)."""
    if isinstance(i, tuple):
        return ",".join(map(text, i)) or "()"
    if isinstance(i, slice):
        part = lambda p: "" if p is None else str(p)
        return f"{part(i.start)}:{part(i.stop)}" + (f":{i.step}" if i.step is not None else "")
    if i is Ellipsis:
        return "..."
    if isinstance(i, (jnp.ndarray, np.ndarray)):
        return "A(" + str(np.asarray(i).tolist()).replace(" ", "") + ")"
    return str(i)


def indices(i):
    return [entry(e) for e in (i if isinstance(i, tuple) else (i,))]


mask_v = A([True, False, True, True, False, False])
mask_m = m % 3 == 0
INDEX = {
    "v6": [
        0, 1, -1, 5, -6, S[:], S[1:], S[:-1], S[::2], S[::-1], S[1:5:2], S[5:1:-2], S[-3:], S[:-3:-1], S[4:2], S[2:100], S[-100:2], S[100:], S[::-2], S[3::-1],
        None, S[..., None], S[None, :, None], ..., S[..., 1], S[()], A([0, 2, 2]), A([-1, 0]), A([[0, 1], [2, 3]]), A(3), A([], jnp.int32), A([6, 7, -7, 100]), mask_v, A([0, 1], jnp.uint8), np.array([1, 2]), True, False, jnp.zeros((6,), bool),
    ],
    "m34": [
        0, -1, S[1, 2], S[-1, -1], S[1], S[:, 1], S[:, -1], S[1:, ::2], S[::-1, ::-1], S[..., 0], S[0, ...], S[None], S[:, None, :], S[None, ..., None], S[1, None],
        A([2, 0]), S[:, A([3, 0, 0])], S[A([0, 1]), A([2, 3])], S[A([[0], [2]]), A([1, 3])], S[A([0, 2]), 1], S[1, A([0, 2])], S[A([0, 2]), 1:3], S[1:, A([0, 2])], S[None, A([0, 2])],
        S[A([0, 2]), None, A([1, 3])], mask_m, S[A([True, False, True])], S[:, A([True, False, True, False])], S[A([True, False, True]), 1], S[A([True, False, True]), A([0, 3])],
        S[A([5, -9]), 0], S[0, A([4, -5])], S[A(1), A(2)], S[A(1)], S[A([[0, 1], [2, 0]])], S[..., A([1, 2])], S[A([0, 1]), ...],
    ],
    "t234": [
        1, S[1, 2], S[1, 2, 3], S[:, 1], S[..., 1], S[1, ..., 2], S[:, :, ::-2], S[::-1, 1:, :2], S[None, 1, None, :, None, 2], S[:, A([0, 2])], S[A([1, 0])], S[..., A([3, 3])],
        S[A([0, 1]), A([1, 2])], S[A([0, 1]), A([1, 2]), A([2, 3])], S[A([0, 1]), :, A([2, 3])], S[:, A([0, 1]), A([2, 3])], S[0, :, A([0, 1, 2])], S[A([0, 1]), 1:, A([2, 3])], S[:, 1, A([0, 1])],
        S[A([[0, 1]]), :, A([[2], [3]])], S[A([0, 1]), None, :, A([2, 3])], S[None, A([0, 1]), A([1, 2])], S[1:, A([[0, 1], [2, 2]])], S[t[..., 0] > 5], S[t > 10], S[:, A([True, False, True])],
        S[A([True, False]), :, A([1, 2])], S[0, A([True, False, True]), 1:], S[1, A([0, 1]), 2], S[A([0, 1]), ..., A([0, 1])], S[..., None, A([0, 1])],
    ],
}
for name, indexes in INDEX.items():
    x = ARRAYS[name]
    for i in indexes:
        cases.put("get", f"{name}[{text(i)}]", x=argument(x), index=indices(i), **attempt(lambda: x[i]))

EDGE = {"v6": [6, -7, S[0, 0], 1.5, A([1.0]), A([True, False]), S[..., ...], "a"], "m34": [S[0, 0, 0], 3, S[A([0, 1]), A([0, 1, 2])], S[0, 4]]}
for name, indexes in EDGE.items():
    x = ARRAYS[name]
    for i in indexes:
        written = [i] if isinstance(i, (str, float)) else indices(i)
        cases.put("edge", f"edge {name}[{text(i)}]", x=argument(x), index=written, **attempt(lambda: x[i]))

# the ways out of range that .at[].get offers
for mode in ["fill", "clip", "wrap", "drop"]:
    for i in [A([0, 5, 6, -1, -6, -7, 99]), A(9)]:
        cases.put("get-mode", f"v6.at[{text(i)}].get({mode})", x=argument(v), index=indices(i), method="get", args=[], params={"mode": mode},
                  **attempt(lambda: v.at[i].get(mode=mode)))
cases.put("get-mode", "v6.at[].get(fill_value)", x=argument(v), index=indices(A([0, 9])), method="get", args=[], params={"mode": "fill", "fill_value": -1.0},
          **attempt(lambda: v.at[A([0, 9])].get(mode="fill", fill_value=-1.0)))

# -- .at[].set and the like ------------------------------------------------------------------------------------------

METHODS = ["set", "add", "subtract", "multiply", "divide", "power", "min", "max"]


def at(group, name, x, i, method, *args, **params):
    label = f"{name}.at[{text(i)}].{method}({','.join([text(a) if hasattr(a, 'shape') else str(a) for a in args] + [f'{k}={p}' for k, p in params.items()])})"
    cases.put(group, label, x=argument(x), index=indices(i), method=method, args=[argument(a) for a in args],
              params={k: value(p) for k, p in params.items()}, **attempt(lambda: getattr(x.at[i], method)(*args, **params)))


for method in METHODS:
    at("at", "v6", v, 2, method, 10.0)
    at("at", "v6", v, S[1:4], method, A([2.0, 3.0, 0.5]))
    at("at", "v6", v, A([0, 2, 4]), method, A([2.0, 3.0, 0.5]))
    at("at", "m34", m, S[:, 1], method, 3)
    at("at", "m34", m, S[A([0, 2]), A([1, 3])], method, A([5, -2]))
    at("at", "m34", m, mask_m, method, 2)
    if method != "set":  # what set makes of repeated indices is not said
        at("at", "v6", v, A([1, 1, 1, 4]), method, A([2.0, 3.0, 4.0, 5.0]))
        at("at", "m34", m, S[A([0, 0, 1])], method, A([[1], [2], [3]]))
at("at", "v6", v, A([1, 1]), "set", 7.0)
at("at", "v6", v, S[:], "set", 0.0)
at("at", "v6", v, ..., "set", 1)
at("at", "v6", v, S[()], "add", 1.0)
at("at", "v6", v, S[::2], "set", A([9.0, 8.0, 7.0]))
at("at", "v6", v, S[::-1], "set", A([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))
at("at", "v6", v, S[4:2], "set", 9.0)
at("at", "v6", v, -1, "set", nan)
at("at", "v6", v, mask_v, "set", -1.0)
at("at", "v6", v, A([0, 1]), "set", nan)
at("at", "v6", v, S[None, 1:3], "set", A([[5.0, 6.0]]))
at("at", "m34", m, S[1], "set", A([9, 8, 7, 6]))
at("at", "m34", m, S[1, 2], "set", 99)
at("at", "m34", m, S[1:, ::2], "set", A([[1], [2]]))
at("at", "m34", m, S[..., 0], "add", A([10, 20, 30]))
at("at", "m34", m, S[:, A([3, 0])], "set", A([[1, 2], [3, 4], [5, 6]]))
at("at", "m34", m, S[A([0, 2]), 1:3], "set", -1)
at("at", "m34", m, S[A([True, False, True])], "set", 0)
at("at", "m34", m, S[0, 0], "set", 2.7)
at("at", "m34", m, S[:, None, 0], "set", A([[1], [2], [3]]))
at("at", "t234", t, S[A([0, 1]), :, A([2, 3])], "set", -jnp.ones((2, 3)))
at("at", "t234", t, S[:, A([0, 2])], "multiply", A([[[2.0]], [[3.0]]]))
at("at", "t234", t, S[..., 1], "set", A([[1.0, 2.0, 3.0]]))
at("at", "t234", t, S[1, ..., 2], "add", 100.0)
at("at", "bf16", jnp.zeros((3,), jnp.bfloat16), 1, "set", A(1.2345678))
at("at", "u8", jnp.zeros((3,), jnp.uint8), 1, "set", 200)
at("at", "bool3", jnp.zeros((3,), bool), 1, "set", True)
at("at", "v6", v, A([0, 1]), "min", nan)
at("at", "v6", v, A([0, 1]), "max", nan)
out_of = A([0, 6, -1, -6, -7, 99])
for mode in [None, "drop", "clip", "fill", "wrap"]:
    for method in ["set", "add"]:
        at("at-mode", "v6", v, out_of, method, A([10.0, 20.0, 30.0, 40.0, 50.0, 60.0]) if method == "add" else 7.0, mode=mode)
at("at-mode", "v6", v, A(9), "set", 7.0)
at("at-mode", "v6", v, 9, "set", 7.0)
cases.put("at", "v6.at[1:3].apply(sin)", x=argument(v), index=indices(S[1:3]), method="apply", args=["sin"], params={}, out=value(v.at[1:3].apply(jnp.sin)))
at("at-refused", "v6", v, S[1:4], "set", A([1.0, 2.0]))
at("at-refused", "v6", v, S[0, 0], "set", 1.0)

# a dynamic scalar index, as a traced one: clamped when read, dropped when written
for i in [0, 5, 6, -1, -6, -7]:
    at("get-traced", "v6", v, A(i), "set", 9.0)
    cases.put("get-traced", f"v6[traced {i}]", x=argument(v), index=indices(A(i)), **attempt(lambda: v[A(i)]))

cases.write("ops_indexing.json")
