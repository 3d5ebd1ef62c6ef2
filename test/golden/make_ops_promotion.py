"""ops_promotion.json: which dtype, weak or not, comes of which dtypes.

In the tables a dtype is its name, with a star where it is weak ("float32*"); a refusal is "!TypeError". py:int, py:float and py:bool are Python scalars.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from golden import Cases, argument, attempt, value

cases = Cases()
DTYPES = ["float32", "float16", "bfloat16", "int32", "uint32", "int8", "uint8", "bool"]
SCALARS = {"py:int": 2, "py:float": 2.0, "py:bool": True}
OPERANDS = {d: jnp.ones((2,), d) for d in DTYPES}
WEAK = {"float32*": jnp.asarray(2.0), "int32*": jnp.asarray(2)}
ALL = {**OPERANDS, **SCALARS, **WEAK}


def kind(x):
    """The dtype as the tables write it."""
    if isinstance(x, (tuple, list)):
        return [kind(v) for v in x]
    if not isinstance(x, jax.Array):
        return type(x).__name__
    return x.dtype.name + ("*" if x.weak_type else "")


def tried(thunk):
    try:
        return kind(thunk())
    except Exception as e:  # every refusal is a fact to record
        return "!" + type(e).__name__


# -- two operands: a row for the left one, a column for the right one ------------------------------------------------

PAIRS = {f: getattr(jnp, f) for f in """add subtract multiply true_divide floor_divide remainder power maximum minimum equal less logical_and
 bitwise_and left_shift right_shift arctan2 logaddexp hypot copysign""".split()}
PAIRS["where"] = lambda a, b: jnp.where(jnp.array([True, False]), a, b)
PAIRS["concatenate"] = lambda a, b: jnp.concatenate([jnp.atleast_1d(a), jnp.atleast_1d(b)])
PAIRS["stack"] = lambda a, b: jnp.stack([jnp.broadcast_to(a, (2,)), jnp.broadcast_to(b, (2,))])
PAIRS["result_type"] = None
PAIRS["matmul"] = lambda a, b: jnp.matmul(jnp.broadcast_to(a, (2,)), jnp.broadcast_to(b, (2,)))
PAIRS["x+y operator"] = lambda a, b: a + b
PAIRS["x/y operator"] = lambda a, b: a / b
PAIRS["x**y operator"] = lambda a, b: a**b
PAIRS["x@y operator"] = lambda a, b: jnp.broadcast_to(a, (2,)) @ jnp.broadcast_to(b, (2,))

names = list(ALL)
for op, f in PAIRS.items():
    table = {}
    for a in names:
        row = []
        for b in names:
            if op.endswith("operator") and a in SCALARS and b in SCALARS:
                row.append("")
            elif f is None:
                weak = jax.dtypes.result_type(ALL[a], ALL[b], return_weak_type_flag=True)
                row.append(weak[0].name + ("*" if weak[1] else ""))
            else:
                row.append(tried(lambda: f(ALL[a], ALL[b])))
        table[a] = row
    cases.put("pairs", f"pairs/{op}", op=op, columns=names, rows=table)

# lax takes no promotion: only equal dtypes, or a scalar that is weaker
for op in ["add", "max", "div"]:
    table = {a: [tried(lambda: getattr(lax, op)(ALL[a], ALL[b])) for b in names] for a in names}
    cases.put("pairs", f"pairs/lax.{op}", op=f"lax.{op}", columns=names, rows=table)

# -- one operand -----------------------------------------------------------------------------------------------------

SINGLE = {f"jnp.{f}": getattr(jnp, f) for f in """abs negative sign floor ceil trunc round rint exp log sqrt square reciprocal sin tanh isnan logical_not
 bitwise_not sum prod mean var std max min argmax argmin all any cumsum cumprod sort argsort median ptp nansum nanmean count_nonzero diff
 zeros_like ones_like trace real""".split() if f not in ("trace",)}
SINGLE.update({f"lax.{f}": getattr(lax, f) for f in "rsqrt erf logistic abs exp floor sign neg stop_gradient".split()})
SINGLE.update({f"nn.{f}": getattr(jax.nn, f) for f in """relu relu6 gelu silu sigmoid softplus softmax log_softmax logsumexp elu selu celu leaky_relu
 hard_tanh hard_sigmoid log_sigmoid soft_sign standardize""".split()})
SINGLE["nn.one_hot"] = lambda x: jax.nn.one_hot(x, 3)
SINGLE["jnp.linspace"] = lambda x: jnp.linspace(0, jnp.max(jnp.asarray(x)), 3)
SINGLE["jnp.full"] = lambda x: jnp.full((2,), x)
SINGLE["jnp.array"] = jnp.array
SINGLE["jnp.asarray"] = jnp.asarray
SINGLE["jnp.array of list"] = lambda x: jnp.array([x, x])
SINGLE["x**2"] = lambda x: x**2
SINGLE["jnp.clip(x,0,1)"] = lambda x: jnp.clip(x, 0, 1)
SINGLE["jnp.clip(x,0.,1.)"] = lambda x: jnp.clip(x, 0.0, 1.0)
SINGLE["lax.top_k"] = lambda x: lax.top_k(jnp.atleast_1d(x), 1)
SINGLE["jnp.linalg.norm"] = jnp.linalg.norm
SINGLE["x.at[0].set(1.5)"] = lambda x: jnp.atleast_1d(x).at[0].set(1.5)
SINGLE["x.at[0].add(float32)"] = lambda x: jnp.atleast_1d(x).at[0].add(jnp.float32(1.5))
SINGLE["jnp.divmod(x,2)"] = lambda x: jnp.divmod(x, 2)
SINGLE["jnp.tril"] = lambda x: jnp.tril(jnp.ones((2, 2), jnp.asarray(x).dtype))
SINGLE["jnp.where(true,x,0)"] = lambda x: jnp.where(True, x, 0)
SINGLE["jnp.where(true,x,0.)"] = lambda x: jnp.where(True, x, 0.0)
SINGLE["jnp.broadcast_to"] = lambda x: jnp.broadcast_to(x, (2,))
SINGLE["jnp.reshape"] = lambda x: jnp.reshape(jnp.asarray(x), (-1,))
SINGLE["jax.grad of sum"] = lambda x: jax.grad(lambda v: jnp.sum(v))(x)
for op, f in SINGLE.items():
    cases.put("single", f"single/{op}", op=op, columns=names, row=[tried(lambda: f(ALL[a])) for a in names])

for op in ["sum", "prod", "mean", "cumsum", "var"]:
    table = {}
    for a in DTYPES:
        table[a] = [tried(lambda: getattr(jnp, op)(OPERANDS[a], dtype=d)) for d in DTYPES]
    cases.put("single", f"single/jnp.{op}(dtype=)", op=op, columns=DTYPES, rows=table)

# -- products with a preferred element type --------------------------------------------------------------------------

for op, f in {"jnp.matmul": jnp.matmul, "lax.dot_general": lambda a, b, **kw: lax.dot_general(a, b, (((0,), (0,)), ((), ())), **kw)}.items():
    for preferred in ["float32", "float16", "bfloat16", "int32", "int8"]:
        table = {a: [tried(lambda: f(OPERANDS[a], OPERANDS[b], preferred_element_type=preferred)) for b in DTYPES] for a in DTYPES}
        cases.put("preferred", f"preferred/{op}/{preferred}", op=op, preferred=preferred, columns=DTYPES, rows=table)

# -- what plain Python values become ---------------------------------------------------------------------------------

VALUES = {
    "1": 1, "1.5": 1.5, "True": True, "[1,2]": [1, 2], "[1,2.5]": [1, 2.5], "[True,False]": [True, False], "[True,2]": [True, 2], "[]": [], "[[]]": [[]],
    "2**31": 2**31, "-2**31": -(2**31), "2**31-1": 2**31 - 1, "[2**31]": [2**31], "1e40": 1e40, "np.float64(1)": np.float64(1), "np.int64(1)": np.int64(1), "np.float32(1)": np.float32(1),
    "np.array([1.0])": np.array([1.0]), "np.array([1])": np.array([1]), "np.array([2**40])": np.array([2**40]),
    "[jnp.float32(1),2]": [jnp.float32(1), 2], "[jnp.int8(1),2]": [jnp.int8(1), 2], "(1,2)": (1, 2),
}
for text, v in VALUES.items():
    for f in ["array", "asarray"]:
        cases.put("python", f"python/jnp.{f}({text})", op=f"jnp.{f}", text=text, **attempt(lambda: getattr(jnp, f)(v)))
for text, f in {
    "jnp.array(1,float32)": lambda: jnp.array(1, jnp.float32), "jnp.array(1.7,int32)": lambda: jnp.array(1.7, jnp.int32), "jnp.array(300,uint8)": lambda: jnp.array(300, jnp.uint8),
    "jnp.array(-1,uint32)": lambda: jnp.array(-1, jnp.uint32), "jnp.float32(1)": lambda: jnp.float32(1), "jnp.int32(1)": lambda: jnp.int32(1),
    "jnp.int8(200)": lambda: jnp.int8(200), "jnp.arange(3)": lambda: jnp.arange(3), "jnp.arange(3.)": lambda: jnp.arange(3.0), "jnp.zeros(2)": lambda: jnp.zeros(2), "jnp.eye(2)": lambda: jnp.eye(2),
    "jnp.full((),1)": lambda: jnp.full((), 1), "jnp.full((),1.)": lambda: jnp.full((), 1.0), "jnp.linspace(0,1,2)": lambda: jnp.linspace(0, 1, 2),
    "jnp.zeros(2,float64)": lambda: jnp.zeros(2, "float64"), "jnp.zeros(2,int64)": lambda: jnp.zeros(2, "int64"), "jnp.zeros(2,float)": lambda: jnp.zeros(2, float), "jnp.zeros(2,int)": lambda: jnp.zeros(2, int), "jnp.zeros(2,bool)": lambda: jnp.zeros(2, bool),
    "jnp.array(1)+jnp.array(1)": lambda: jnp.array(1) + jnp.array(1), "jnp.array(1)+1.5": lambda: jnp.array(1) + 1.5, "jnp.int8(1)+jnp.array(1)": lambda: jnp.int8(1) + jnp.array(1),
    "jnp.int8(100)+jnp.array(100)": lambda: jnp.int8(100) + jnp.array(100), "jnp.uint8(1)-2": lambda: jnp.uint8(1) - 2, "jnp.uint8(1)+300": lambda: jnp.uint8(1) + 300, "jnp.uint32(1)+(-1)": lambda: jnp.uint32(1) + (-1),
    "jnp.int32(1)+2**31": lambda: jnp.int32(1) + 2**31, "jnp.float32(1)+2**31": lambda: jnp.float32(1) + 2**31, "jnp.bfloat16(1)+1e-3": lambda: jnp.bfloat16(1) + 1e-3, "astype(float32) of weak": lambda: jnp.array(1.0).astype(jnp.float32),
    "jnp.float16(60000)*2": lambda: jnp.float16(60000) * 2, "jnp.array(2)**jnp.array(3)": lambda: jnp.array(2) ** jnp.array(3),
    "jnp.asarray(jnp.array(1))": lambda: jnp.asarray(jnp.array(1)), "jnp.array(1)[None]": lambda: jnp.array(1)[None], "jnp.stack of weak": lambda: jnp.stack([jnp.array(1), jnp.array(2)]),
    "jnp.sum of weak": lambda: jnp.sum(jnp.array(1.0)), "jnp.exp of weak": lambda: jnp.exp(jnp.array(1)), "jnp.array(1.0)+jnp.zeros(2,bfloat16)": lambda: jnp.array(1.0) + jnp.zeros(2, jnp.bfloat16),
}.items():
    cases.put("python", f"python/{text}", text=text, **attempt(f))

for d in DTYPES:
    info = jnp.finfo(d) if jnp.issubdtype(d, jnp.floating) else (jnp.iinfo(d) if d != "bool" else None)
    if info is not None:
        fields = {"min": argument(jnp.asarray(info.min, d)), "max": argument(jnp.asarray(info.max, d)), "bits": info.bits}
        if hasattr(info, "eps"):
            fields |= {"eps": argument(jnp.asarray(info.eps, d)), "tiny": argument(jnp.asarray(info.tiny, d))}
        cases.put("limits", f"limits/{d}", **fields)

cases.write("ops_promotion.json")
