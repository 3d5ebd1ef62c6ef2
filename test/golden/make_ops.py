"""ops.json, ops_reduce.json, ops_shape.json: what array functions compute, edge values included. See also make_ops_*.py."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from golden import Cases, argument, attempt, value

rng = np.random.RandomState(0)


def f32(*shape, scale=1.0):
    """Normal draws, rounded so that they read well."""
    return jnp.asarray(np.round(rng.randn(*shape) * scale, 3), jnp.float32)


def i32(*shape, lo=-9, hi=10):
    return jnp.asarray(rng.randint(lo, hi, size=shape), jnp.int32)


nan, inf = float("nan"), float("inf")
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 0.3, -0.7, 1.5, 2.5, -2.5, 3.5, 3.7, -3.7, 10.0, -10.0, 50.0, -50.0, 88.0, -88.0, 89.0,
          -104.0, 1e-8, -1e-8, 1e-30, 1e10, -1e10, 3e38, -3e38, nan, inf, -inf]
PAIR_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, -3.0, 1e20, nan, inf, -inf]
INTS = [0, 1, -1, 2, 3, -3, 7, -7, 10, -10, 65536, 2**31 - 1, -(2**31)]
UINTS = [0, 1, 2, 3, 7, 10, 65536, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
INT8S = [0, 1, -1, 2, 3, -3, 7, -7, 100, -100, 127, -128]
UINT8S = [0, 1, 2, 3, 7, 16, 100, 127, 128, 200, 255]
BOOLS = [False, True]

grids = {
    "float32": jnp.array(FLOATS, jnp.float32),
    "int32": jnp.array(INTS, jnp.int32),
    "uint32": jnp.array(UINTS, jnp.uint32),
    "int8": jnp.array(INT8S, jnp.int8),
    "uint8": jnp.array(UINT8S, jnp.uint8),
    "bool": jnp.array(BOOLS),
    "float16": jnp.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.7, 10.0, -11.0, 60000.0, 1e-4, nan, inf, -inf], jnp.float16),
    "bfloat16": jnp.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.7, 10.0, -88.0, 89.0, 3e38, 1e-4, nan, inf, -inf], jnp.bfloat16),
}

cases = Cases()

# -- one argument ----------------------------------------------------------------------------------------------------

UNARY = """abs negative positive sign floor ceil trunc rint round exp exp2 expm1 log log2 log10 log1p sqrt cbrt square reciprocal sin cos
 tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh isnan isinf isfinite isneginf isposinf signbit deg2rad rad2deg sinc
 nan_to_num logical_not fabs""".split()
LAX_UNARY = "rsqrt erf erfc erf_inv logistic lgamma digamma is_finite round".split()

for f in UNARY:
    cases.call("unary", "float32", f"jnp.{f}", grids["float32"])
for f in LAX_UNARY:
    cases.call("unary", "float32", f"lax.{f}", grids["float32"])
for p in [-3, -2, -1, 0, 1, 2, 3, 4, 7]:
    cases.call("unary", f"float32-{p}", "lax.integer_pow", grids["float32"], y=p)
cases.call("unary", "to-nearest-even", "lax.round", grids["float32"], rounding_method=1)
cases.call("unary", "decimals-2", "jnp.round", jnp.array([1.234, -1.235, 2.675, 1e10, nan, 0.005]), decimals=2)
cases.call("unary", "decimals--1", "jnp.round", jnp.array([14.0, 15.0, 25.0, -15.0, -26.0]), decimals=-1)
cases.call("unary", "int-decimals--1", "jnp.round", jnp.array([14, 15, 25, -15, -26]), decimals=-1, expect_error=True)
cases.call("unary", "replaced", "jnp.nan_to_num", jnp.array([nan, inf, -inf, 1.0]), nan=5.0, posinf=6.0, neginf=7.0)

for dtype in ["float16", "bfloat16"]:
    for f in "abs sign floor exp expm1 log log1p sqrt square reciprocal sin tanh isnan round".split():
        cases.call("unary-half", dtype, f"jnp.{f}", grids[dtype])
    for f in "rsqrt erf logistic".split():
        cases.call("unary-half", dtype, f"lax.{f}", grids[dtype])

INT_UNARY = "abs negative sign floor round square reciprocal exp sqrt isnan isfinite logical_not bitwise_not positive signbit sin".split()
for dtype in ["int32", "uint32", "int8", "uint8", "bool"]:
    for f in INT_UNARY:
        result = attempt(lambda: getattr(jnp, f)(grids[dtype]))
        cases.put("unary-int", f"jnp.{f}/{dtype}", op=f"jnp.{f}", args=[argument(grids[dtype])], params={}, **result)
    if dtype != "bool":
        cases.call("unary-int", dtype, "lax.population_count", grids[dtype])
        cases.call("unary-int", dtype, "lax.clz", grids[dtype])
        cases.call("unary-int", f"{dtype}-3", "lax.integer_pow", grids[dtype], y=3)

# -- conversions -----------------------------------------------------------------------------------------------------

CAST = jnp.array([0.0, -0.0, 0.5, 0.9, -0.9, 1.5, -1.5, 127.0, 128.0, -128.0, -129.0, 255.0, 256.0, 300.0, 65504.0, 65520.0, 2147483520.0,
                  2147483648.0, -2147483648.0, 4294967040.0, 4294967296.0, 1e20, -1e20, 1e-6, 0.1, 3.3895e38, nan, inf, -inf], jnp.float32)
for dtype in grids:
    cases.call("convert", f"float32-to-{dtype}", "lax.convert_element_type", CAST, new_dtype=dtype)
    for source in ["int32", "uint32", "int8", "uint8", "bool", "float16", "bfloat16"]:
        cases.call("convert", f"{source}-to-{dtype}", "lax.convert_element_type", grids[source], new_dtype=dtype)
cases.call("convert", "float32-to-int32", "lax.bitcast_convert_type", grids["float32"], new_dtype="int32")
cases.call("convert", "float32-to-uint32", "lax.bitcast_convert_type", grids["float32"], new_dtype="uint32")
cases.call("convert", "uint32-to-float32", "lax.bitcast_convert_type", jnp.array([0x3F800000, 0x80000000, 0x7F800000], jnp.uint32),
           new_dtype="float32")
cases.call("convert", "float32-to-uint8", "lax.bitcast_convert_type", jnp.array([1.0, -2.5]), new_dtype="uint8")
cases.call("convert", "uint8-to-uint32", "lax.bitcast_convert_type", jnp.arange(8, dtype=jnp.uint8).reshape(2, 4), new_dtype="uint32")
cases.call("convert", "bfloat16", "lax.reduce_precision", grids["float32"], exponent_bits=8, mantissa_bits=7)

# -- two arguments: every pair of a grid -----------------------------------------------------------------------------

COMPARE = "equal not_equal less less_equal greater greater_equal".split()
BINARY = """add subtract multiply true_divide floor_divide remainder fmod power maximum minimum fmax fmin arctan2 hypot logaddexp
 logaddexp2 copysign heaviside nextafter divmod logical_and logical_or logical_xor""".split() + COMPARE


def column_row(grid, dtype):
    a = jnp.array(grid, dtype)
    return a[:, None], a[None, :]


for f in BINARY:
    cases.call("binary", "float32", f"jnp.{f}", *column_row(PAIR_FLOATS, jnp.float32))
for f in ["div", "rem", "pow", "max", "min", "atan2", "nextafter"]:
    x, y = jnp.broadcast_arrays(*column_row(PAIR_FLOATS, jnp.float32))
    cases.call("binary", "float32", f"lax.{f}", x.ravel(), y.ravel())

INT_BINARY = """add subtract multiply true_divide floor_divide remainder fmod maximum minimum divmod bitwise_and bitwise_or bitwise_xor
 left_shift right_shift gcd lcm power""".split()
pair_grids = {"int32": INTS, "uint32": UINTS, "int8": INT8S, "uint8": UINT8S, "bool": BOOLS}
for dtype, grid in pair_grids.items():
    for f in INT_BINARY + COMPARE:
        if (f in COMPARE and dtype in ("int8", "uint8")) or (f in ("gcd", "lcm") and dtype != "int32"):
            continue  # gcd never ends where abs of the smallest integer overflows
        x, y = column_row(grid, dtype)
        if f == "power" and dtype != "bool":
            y = jnp.array([v for v in [-2, -1, 0, 1, 2, 3, 7, 31] if v >= 0 or dtype.startswith("i")], dtype)[None, :]
        if f in ("left_shift", "right_shift") and dtype != "bool":
            y = jnp.array([v for v in [-1, 0, 1, 5, 7, 8, 31, 32, 40] if v >= 0 or dtype.startswith("i")], dtype)[None, :]
        if f in ("gcd", "lcm"):
            x, y = column_row([0, 1, -1, 2, 3, -3, 7, 12, 18, -30, 1000], dtype)
        result = attempt(lambda: getattr(jnp, f)(x, y))
        cases.put("binary-int", f"jnp.{f}/{dtype}", op=f"jnp.{f}", args=[argument(x), argument(y)], params={}, **result)
    if dtype != "bool":
        x, y = (v.ravel() for v in jnp.broadcast_arrays(*column_row(grid, dtype)))
        for f in ["div", "rem"]:
            cases.call("binary-int", dtype, f"lax.{f}", x, y)
        shifts = jnp.broadcast_arrays(jnp.array(grid, dtype)[:, None], jnp.array([0, 1, 5, 7, 8, 31, 32], dtype)[None, :])
        for f in ["shift_left", "shift_right_logical", "shift_right_arithmetic"]:
            cases.call("binary-int", dtype, f"lax.{f}", *shifts)

for dtype in ["float16", "bfloat16"]:
    for f in "add multiply true_divide floor_divide remainder power maximum less".split():
        cases.call("binary-half", dtype, f"jnp.{f}", *column_row([0.0, -0.0, 1.0, -2.5, 3.0, 0.1, 50000.0, nan, inf], dtype))

# a Python scalar keeps the array's dtype, and power by a Python integer multiplies
OPERATORS = {
    "x+1": lambda x: x + 1, "x+1.5": lambda x: x + 1.5, "1-x": lambda x: 1 - x, "x*2": lambda x: x * 2, "x*True": lambda x: x * True,
    "x/2": lambda x: x / 2, "1/x": lambda x: 1 / x, "x//2": lambda x: x // 2, "x//-2": lambda x: x // -2, "x%3": lambda x: x % 3,
    "x%-3": lambda x: x % -3, "7%x": lambda x: 7 % x, "x**0": lambda x: x**0, "x**2": lambda x: x**2, "x**3": lambda x: x**3,
    "x**-1": lambda x: x**-1, "x**-2": lambda x: x**-2, "x**0.5": lambda x: x**0.5, "x**2.0": lambda x: x**2.0, "2**x": lambda x: 2**x,
    "2.0**x": lambda x: 2.0**x, "-x": lambda x: -x, "+x": lambda x: +x, "~x": lambda x: ~x, "abs(x)": lambda x: abs(x),
    "x>0": lambda x: x > 0, "x==1": lambda x: x == 1, "x!=x": lambda x: x != x, "x&6": lambda x: x & 6, "x|1": lambda x: x | 1, "x^3": lambda x: x ^ 3,
    "x<<2": lambda x: x << 2, "x>>1": lambda x: x >> 1, "round(x)": lambda x: round(x), "divmod(x,3)": lambda x: divmod(x, 3),
}
for dtype, v in {
    "float32": jnp.array([0.0, 1.0, -1.0, 2.5, -7.3, nan, inf], jnp.float32),
    "bfloat16": jnp.array([0.0, 1.0, -1.0, 2.5, -7.3], jnp.bfloat16),
    "int32": jnp.array([0, 1, -1, 2, -7, 31, 2**31 - 1], jnp.int32),
    "uint8": jnp.array([0, 1, 2, 7, 200, 255], jnp.uint8),
    "bool": jnp.array([False, True]),
}.items():
    for text, f in OPERATORS.items():
        cases.put("operators", f"{text}/{dtype}", op=text, args=[argument(v)], params={}, **attempt(lambda: f(v)))

# -- three arguments and more ----------------------------------------------------------------------------------------

m = f32(3, 4)
cond = jnp.asarray(rng.rand(3, 4) > 0.5)
cases.call("select", "arrays", "jnp.where", cond, m, -m)
cases.call("select", "scalars", "jnp.where", cond, 1.0, 0.0)
cases.call("select", "scalar-ints", "jnp.where", cond, 1, 0)
cases.call("select", "mixed-int-array", "jnp.where", cond, m, jnp.arange(4))
cases.call("select", "broadcast", "jnp.where", cond[:, :1], m, jnp.array([1.0, 2.0, 3.0, 4.0]))
cases.call("select", "nonbool-condition", "jnp.where", jnp.array([0, 2, -1]), jnp.array([1, 2, 3]), 9)
cases.call("select", "nan-in-other-branch", "jnp.where", jnp.array([True, False]), jnp.array([1.0, nan]), jnp.array([nan, 2.0]))
cases.call("select", "3", "jnp.select", [m > 1, m > 0], [m, m * 10], default=-1.0)
cases.call("select", "bool", "lax.select", cond, m, -m)
cases.call("select", "int", "lax.select_n", jnp.array([0, 2, 1, 0]), jnp.arange(4.0), jnp.arange(4.0) * 10, jnp.arange(4.0) * 100)
for lo, hi in [(-0.5, 0.5), (None, 0.5), (-0.5, None), (1.0, -1.0)]:
    cases.call("select", f"{lo}-{hi}", "jnp.clip", m, min=lo, max=hi)
cases.call("select", "nan-and-inf", "jnp.clip", grids["float32"], min=-1.0, max=2.0)
cases.call("select", "arrays", "jnp.clip", m, jnp.zeros((4,)), jnp.ones((3, 1)))
cases.call("select", "int-array-float-bounds", "jnp.clip", jnp.arange(5), 0.5, 2.5)
cases.call("select", "scalars", "lax.clamp", -0.5, m, 0.5)

cases.write("ops.json")

# =====================================================================================================================
# ops_reduce.json: reductions, running reductions, products of arrays
# =====================================================================================================================

cases = Cases()

# -- reductions ------------------------------------------------------------------------------------------------------

x = f32(2, 3, 4)
xn = x.at[0, 1, 2].set(nan).at[1, 0, 0].set(inf).at[1, 2, 1].set(-inf)
xi = i32(2, 3, 4)
REDUCE = "sum prod mean var std max min argmax argmin all any ptp median count_nonzero".split()
AXES = {"all": None, "0": 0, "1": 1, "-1": -1}
for f in REDUCE:
    for label, axis in AXES.items():
        cases.call("reduce", f"axis-{label}", f"jnp.{f}", x, axis=axis)
    cases.call("reduce", "keepdims", f"jnp.{f}", x, axis=1, keepdims=True)
    cases.call("reduce", "keepdims-all", f"jnp.{f}", x, keepdims=True)
    cases.call("reduce", "nan-and-inf", f"jnp.{f}", xn, axis=-1)
    cases.call("reduce", "int32", f"jnp.{f}", xi, axis=1)
    if not f.startswith("arg"):
        cases.call("reduce", "axes-0-2", f"jnp.{f}", x, axis=(0, 2))
        cases.call("reduce", "no-axes", f"jnp.{f}", x[0, 0], axis=())
    if f not in ("ptp", "median"):
        cases.call("reduce", "bool", f"jnp.{f}", xi > 0, axis=-1)
for f in "sum prod mean all any max min argmax var std".split():
    for shape in [(0,), (0, 3), (3, 0)]:
        a = jnp.zeros(shape)
        cases.put("reduce-empty", f"jnp.{f}/empty-{list(shape)}", op=f"jnp.{f}", args=[argument(a)], params={}, **attempt(lambda: getattr(jnp, f)(a)))
    cases.put("reduce-empty", f"jnp.{f}/empty-[0,3]-axis-0", op=f"jnp.{f}", args=[argument(jnp.zeros((0, 3)))], params={"axis": 0},
              **attempt(lambda: getattr(jnp, f)(jnp.zeros((0, 3)), axis=0)))
where = jnp.asarray(rng.rand(2, 3, 4) > 0.4)
for f in ["sum", "prod", "mean", "var", "std", "all", "any", "count_nonzero"]:
    if f != "count_nonzero":
        cases.call("reduce", "where", f"jnp.{f}", x, axis=-1, where=where)
for f in ["max", "min"]:
    cases.call("reduce", "where-initial", f"jnp.{f}", x, axis=-1, where=where, initial=0.25)
cases.call("reduce", "initial", "jnp.sum", x, axis=0, initial=10.0)
for f in ["var", "std"]:
    cases.call("reduce", "ddof-1", f"jnp.{f}", x, axis=-1, ddof=1)
    cases.call("reduce", "ddof-1-of-one", f"jnp.{f}", x[:, :, :1], axis=-1, ddof=1)
cases.call("reduce", "float16-large", "jnp.mean", jnp.full((100,), 1000.0, jnp.float16))
cases.call("reduce", "float16-large", "jnp.sum", jnp.full((100,), 1000.0, jnp.float16))
cases.call("reduce", "bfloat16", "jnp.sum", jnp.full((300,), 1.0, jnp.bfloat16))
cases.call("reduce", "float16-large", "jnp.var", jnp.arange(100, dtype=jnp.float16))
cases.call("reduce", "int8", "jnp.sum", jnp.full((3,), 100, jnp.int8))
cases.call("reduce", "uint8", "jnp.sum", jnp.full((3,), 200, jnp.uint8))
cases.call("reduce", "int32-wraps", "jnp.sum", jnp.full((3,), 2**30, jnp.int32))
cases.call("reduce", "int32-wraps", "jnp.prod", jnp.full((3,), 70000, jnp.int32))
cases.call("reduce", "dtype-float32", "jnp.sum", xi, axis=-1, dtype="float32")
cases.call("reduce", "dtype-int8", "jnp.sum", xi, dtype="int8")
cases.call("reduce", "dtype-float32", "jnp.mean", jnp.arange(5, dtype=jnp.float16), dtype="float32")
ties = jnp.array([[1.0, 3.0, 3.0, 2.0], [nan, 1.0, nan, 5.0], [-0.0, 0.0, -0.0, 0.0], [inf, inf, -inf, -inf]])
for f in ["argmax", "argmin", "max", "min"]:
    cases.call("reduce", "ties-and-nan", f"jnp.{f}", ties, axis=-1)
for f in "nansum nanmean nanvar nanmax nanmin nanargmax nanprod nanstd".split():
    cases.call("reduce", "nan", f"jnp.{f}", x.at[0, 1, 2].set(nan), axis=-1)
for q in [0.0, 0.25, 0.5, 0.9, 1.0]:
    cases.call("reduce", f"{q}", "jnp.quantile", x, q, axis=-1)
for method in ["lower", "higher", "midpoint", "nearest"]:
    cases.call("reduce", method, "jnp.quantile", x, 0.3, axis=-1, method=method)
cases.call("reduce", "weights", "jnp.average", x, axis=1, weights=jnp.array([1.0, 2.0, 3.0]))
for o in [None, 1, 2, 3, inf, -inf, 0]:
    cases.call("reduce", f"vector-{o}", "jnp.linalg.norm", x[0, 0], ord=o)
for o in [None, "fro", 1, -1, inf, 2, "nuc"]:
    cases.call("reduce", f"matrix-{o}", "jnp.linalg.norm", x[0], ord=o)
cases.call("reduce", "axis", "jnp.linalg.norm", x, axis=-1, keepdims=True)
for f in ["reduce_sum", "reduce_max", "reduce_min", "reduce_prod"]:
    cases.call("reduce", "axes-0-2", f"lax.{f}", x, axes=(0, 2))
cases.call("reduce", "axis-1", "lax.argmax", x, axis=1, index_dtype="int32")
cases.call("reduce", "ints", "lax.reduce_xor", xi, axes=(0,))

# -- running reductions ----------------------------------------------------------------------------------------------

row = jnp.array([[1.0, -2.0, 3.0, 3.0, 0.5], [0.1, nan, 2.0, -inf, 1.0]])
for f in ["cumsum", "cumprod"]:
    for axis in [None, 0, 1, -1]:
        cases.call("cumulative", f"axis-{axis}", f"jnp.{f}", x[0], axis=axis)
    cases.call("cumulative", "int32", f"jnp.{f}", xi[0], axis=1)
    cases.call("cumulative", "bool", f"jnp.{f}", xi[0] > 0, axis=1)
    cases.call("cumulative", "int8", f"jnp.{f}", jnp.array([100, 100, 3], jnp.int8))
    cases.call("cumulative", "dtype", f"jnp.{f}", jnp.array([1, 2, 3], jnp.int8), dtype="float32")
for f in ["cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"]:
    for reverse in [False, True]:
        cases.call("cumulative", f"reverse-{reverse}", f"lax.{f}", row, axis=1, reverse=reverse)
    cases.call("cumulative", "axis-0", f"lax.{f}", x[0], axis=0)
cases.call("cumulative", "n-1", "jnp.diff", row, axis=1)
cases.call("cumulative", "n-2", "jnp.diff", x, n=2, axis=1)
cases.call("cumulative", "prepend", "jnp.diff", jnp.array([1, 4, 9]), prepend=0)
cases.put("cumulative", "lax.associative_scan/mul-add", op="lax.associative_scan", args=[argument(x[0])], params={"fn": "(a,b) -> a*0.5+b, axis 0"},
          out=value(lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (jnp.full_like(x[0], 0.5), x[0]))))

# -- products of arrays ----------------------------------------------------------------------------------------------

a23, b34, v3, v4 = f32(2, 3), f32(3, 4), f32(3), f32(4)
pairs = {
    "23-34": (a23, b34), "3-3": (v3, v3), "23-3": (a23, v3), "3-34": (v3, b34), "batch-2-23-34": (f32(2, 2, 3), b34),
    "batch-broadcast": (f32(4, 1, 2, 3), f32(2, 3, 2)), "vector-batch": (v3, f32(2, 3, 4)), "batch-vector": (f32(2, 4, 3), v3),
    "empty": (jnp.zeros((2, 0)), jnp.zeros((0, 3))), "int32": (i32(2, 3), i32(3, 4)), "int32-float32": (i32(2, 3), b34),
    "int8": (jnp.full((2, 3), 100, jnp.int8), jnp.full((3, 2), 3, jnp.int8)), "bool": (jnp.array([[True, False]]), jnp.array([[True], [True]])),
    "bfloat16": (a23.astype(jnp.bfloat16), b34.astype(jnp.bfloat16)), "float16": (a23.astype(jnp.float16), b34.astype(jnp.float16)),
    "nan-inf": (jnp.array([[nan, 1.0], [inf, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 0.0]])),
}
for label, (p, q) in pairs.items():
    cases.call("product", label, "jnp.matmul", p, q)
cases.call("product", "mismatch", "jnp.matmul", a23, a23, expect_error=True)
cases.call("product", "scalar", "jnp.matmul", a23, 2.0, expect_error=True)
cases.call("product", "preferred-int32", "jnp.matmul", *pairs["int8"], preferred_element_type="int32")
cases.call("product", "preferred-float32", "jnp.matmul", *pairs["bfloat16"], preferred_element_type="float32")
for label in ["23-34", "3-3", "23-3", "3-34"]:
    cases.call("product", label, "jnp.dot", *pairs[label])
cases.call("product", "scalar", "jnp.dot", a23, 2.0)
cases.call("product", "nd-nd", "jnp.dot", f32(2, 2, 3), f32(2, 3, 4))
cases.call("product", "nd-nd", "jnp.inner", f32(2, 3), f32(4, 3))
cases.call("product", "vectors", "jnp.outer", v3, v4)
cases.call("product", "matrices", "jnp.vdot", a23, a23)
cases.call("product", "matrices", "jnp.kron", a23[:, :2], b34[:2, :2])
cases.call("product", "vectors", "jnp.cross", v3, v3[::-1])
cases.call("product", "1", "jnp.tensordot", f32(2, 3, 4), f32(4, 5), axes=1)
cases.call("product", "2", "jnp.tensordot", f32(2, 3, 4), f32(3, 4, 2), axes=2)
cases.call("product", "lists", "jnp.tensordot", f32(2, 3, 4), f32(4, 3, 2), axes=((1, 2), (1, 0)))
cases.call("product", "0", "jnp.tensordot", v3, v4, axes=0)


def dot_general(label, p, q, contract, batch, **params):
    """dimension_numbers are ((contract p, contract q), (batch p, batch q))."""
    cases.call("product", label, "lax.dot_general", p, q, dimension_numbers=(contract, batch), **params)


dot_general("matmul", a23, b34, ((1,), (0,)), ((), ()))
dot_general("nt", a23, f32(4, 3), ((1,), (1,)), ((), ()))
dot_general("tn", f32(3, 2), b34, ((0,), (0,)), ((), ()))
dot_general("tt", f32(3, 2), f32(4, 3), ((0,), (1,)), ((), ()))
dot_general("batch-0", f32(2, 3, 4), f32(2, 4, 2), ((2,), (1,)), ((0,), (0,)))
dot_general("batch-inside", f32(3, 2, 4), f32(4, 2, 5), ((2,), (0,)), ((1,), (1,)))
dot_general("two-batches", f32(2, 3, 2, 4), f32(2, 3, 4, 2), ((3,), (2,)), ((0, 1), (0, 1)))
dot_general("two-contracted", f32(2, 3, 4), f32(4, 3, 2), ((1, 2), (1, 0)), ((), ()))
dot_general("nothing-contracted", v3, v4, ((), ()), ((), ()))
dot_general("preferred", a23.astype(jnp.bfloat16), b34.astype(jnp.bfloat16), ((1,), (0,)), ((), ()), preferred_element_type="float32")
dot_general("int8-preferred", *pairs["int8"], ((1,), (0,)), ((), ()), preferred_element_type="int32")

EINSUM = {
    "ij,jk->ik": ((2, 3), (3, 4)), "ij,jk": ((2, 3), (3, 4)), "ij,kj->ki": ((2, 3), (4, 3)), "ij->ji": ((2, 3),), "ij->": ((2, 3),),
    "ij->j": ((2, 3),), "ii": ((3, 3),), "ii->i": ((3, 3),), "i,i": ((3,), (3,)), "i,j->ij": ((3,), (4,)), "bij,bjk->bik": ((2, 2, 3), (2, 3, 2)),
    "...ij,...jk->...ik": ((2, 2, 3), (3, 2)), "...ij->...ji": ((2, 2, 3),), "bqhd,bkhd->bhqk": ((2, 3, 2, 4), (2, 5, 2, 4)),
    "bhqk,bkhd->bqhd": ((2, 2, 3, 5), (2, 5, 2, 4)), "ij,ij->ij": ((2, 3), (2, 3)), "ij,ij->i": ((2, 3), (2, 3)), "i...->...": ((2, 3),),
    "ij,jk,kl->il": ((2, 3), (3, 4), (4, 2)), "a,b,c->abc": ((2,), (2,), (3,)), "ba": ((2, 3),), ",ij->ij": ((), (2, 3)), "ijj->ij": ((2, 3, 3),),
    "i,ij,j->": ((2,), (2, 3), (3,)), "btd,dnh->btnh": ((2, 3, 4), (4, 2, 2)), "...,...->...": ((2, 3), (3,)), " i j , j k -> i k ": ((2, 3), (3, 4)),
}
for spec, shapes in EINSUM.items():
    ops = [f32(*s) for s in shapes]
    cases.put("einsum", f"jnp.einsum/{spec}", op="jnp.einsum", args=[spec] + [argument(o) for o in ops], params={}, out=value(jnp.einsum(spec, *ops)))
ints = [i32(2, 3), i32(3, 2)]
cases.put("einsum", "jnp.einsum/int32", op="jnp.einsum", args=["ij,jk->ik"] + [argument(o) for o in ints], params={}, out=value(jnp.einsum("ij,jk->ik", *ints)))
halves = [f32(2, 3).astype(jnp.bfloat16), f32(3, 2).astype(jnp.bfloat16)]
cases.put("einsum", "jnp.einsum/bfloat16-preferred", op="jnp.einsum", args=["ij,jk->ik"] + [argument(o) for o in halves],
          params={"preferred_element_type": "float32"}, out=value(jnp.einsum("ij,jk->ik", *halves, preferred_element_type=jnp.float32)))
for spec in ["ij,jk->il", "ij->i j k", "iij->ik"]:
    cases.put("einsum", f"jnp.einsum/bad {spec}", op="jnp.einsum", args=[spec, argument(a23), argument(b34)], params={},
              **attempt(lambda: jnp.einsum(spec, a23, b34)))

spd = jnp.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
cases.call("linalg", "spd", "jnp.linalg.cholesky", spd)
cases.call("linalg", "not-positive", "jnp.linalg.cholesky", jnp.array([[1.0, 2.0], [2.0, 1.0]]))
cases.call("linalg", "spd", "jnp.linalg.inv", spd)
cases.call("linalg", "spd", "jnp.linalg.det", spd)
cases.call("linalg", "spd", "jnp.linalg.slogdet", spd)
cases.call("linalg", "vector", "jnp.linalg.solve", spd, v3)
cases.call("linalg", "matrix", "jnp.linalg.solve", spd, b34)
cases.call("linalg", "tall", "jnp.linalg.qr", b34.T)
cases.call("linalg", "wide", "jnp.linalg.qr", b34)
cases.call("linalg", "spd", "jnp.linalg.eigh", spd)
cases.call("linalg", "spd", "jnp.linalg.eigvalsh", spd)
cases.call("linalg", "singular-values", "jnp.linalg.svd", b34, compute_uv=False)
cases.call("linalg", "3", "jnp.linalg.matrix_power", spd, 3)

cases.write("ops_reduce.json")

# =====================================================================================================================
# ops_shape.json: making, moving, sorting and looking up elements
# =====================================================================================================================

cases = Cases()

# -- making arrays ---------------------------------------------------------------------------------------------------

for args in [(5,), (0,), (2, 7), (7, 2), (7, 2, -1), (0, 10, 3), (5.0,), (0.0, 1.0, 0.1), (0, 1, 0.3), (1.0, 0.0, -0.25), (-1.5, 3), (0.0, 2.0, 0.7)]:
    cases.call("make", f"{args}".replace(" ", ""), "jnp.arange", *args)
cases.call("make", "dtype-float32", "jnp.arange", 5, dtype="float32")
cases.call("make", "dtype-int8", "jnp.arange", 5, dtype="int8")
cases.call("make", "dtype-bfloat16", "jnp.arange", 0.0, 1.0, 0.25, dtype="bfloat16")
for args in [(0.0, 1.0), (0.0, 1.0, 5), (0, 10, 4), (1.0, -1.0, 7), (0.0, 1.0, 1), (0.0, 1.0, 0), (-3.0, 3.0, 11), (2.0, 2.0, 3)]:
    cases.call("make", f"{args}".replace(" ", ""), "jnp.linspace", *args)
cases.call("make", "endpoint-off", "jnp.linspace", 0.0, 1.0, 4, endpoint=False)
cases.call("make", "endpoint-off-1", "jnp.linspace", 0.0, 1.0, 1, endpoint=False)
cases.call("make", "retstep", "jnp.linspace", 0.0, 1.0, 5, retstep=True)
cases.call("make", "dtype-int32", "jnp.linspace", 0.0, 10.0, 4, dtype="int32")
cases.call("make", "dtype-int32-negative", "jnp.linspace", -5.0, 5.0, 4, dtype="int32")
cases.call("make", "arrays", "jnp.linspace", jnp.array([0.0, 1.0]), jnp.array([1.0, 3.0]), 3)
cases.call("make", "arrays-axis", "jnp.linspace", jnp.array([0.0, 1.0]), jnp.array([1.0, 3.0]), 3, axis=-1)
cases.call("make", "0-3-4", "jnp.logspace", 0.0, 3.0, 4)
cases.call("make", "1-1000-4", "jnp.geomspace", 1.0, 1000.0, 4)
for args in [(3,), (2, 4), (4, 2)]:
    cases.call("make", f"{args}".replace(" ", ""), "jnp.eye", *args)
    cases.call("make", f"{args}".replace(" ", ""), "jnp.tri", *args)
cases.call("make", "k-1", "jnp.eye", 3, 4, k=1)
cases.call("make", "k--1-int32", "jnp.eye", 3, 4, k=-1, dtype="int32")
cases.call("make", "k--1", "jnp.tri", 3, 4, -1)
cases.call("make", "3", "jnp.identity", 3)
for label, fill in {"int": 7, "float": 1.5, "bool": True}.items():
    cases.call("make", label, "jnp.full", (2, 2), fill)
    cases.call("make", label, "jnp.full_like", jnp.arange(3), fill)
cases.call("make", "dtype", "jnp.full", (2,), 3.7, dtype="int32")
cases.call("make", "array", "jnp.full", (2, 3), jnp.array([1.0, 2.0, 3.0]))
for f in ["zeros", "ones"]:
    cases.call("make", "[2,3]", f"jnp.{f}", (2, 3))
    cases.call("make", "int32", f"jnp.{f}", (2,), dtype="int32")
    cases.call("make", "bool", f"jnp.{f}", (2,), dtype="bool")
    cases.call("make", "scalar-shape", f"jnp.{f}", 3)
    cases.call("make", "like-bfloat16", f"jnp.{f}_like", jnp.zeros((2,), jnp.bfloat16))
cases.call("make", "xy", "jnp.meshgrid", jnp.arange(3), jnp.arange(2))
cases.call("make", "ij", "jnp.meshgrid", jnp.arange(3), jnp.arange(2), indexing="ij")
cases.call("make", "sparse", "jnp.meshgrid", jnp.arange(3), jnp.arange(2), sparse=True)
cases.call("make", "2-3", "jnp.indices", (2, 3))
cases.call("make", "3", "jnp.tril_indices", 3)
cases.call("make", "3-k-1", "jnp.triu_indices", 3, k=1)
cases.call("make", "axis-1", "lax.broadcasted_iota", "int32", (2, 3), 1)
cases.call("make", "float32", "lax.iota", "float32", 4)

# -- same elements, other shape --------------------------------------------------------------------------------------

t = jnp.arange(24).reshape(2, 3, 4)
for shape in [(6, 4), (-1,), (4, -1), (2, -1, 2), (24,), (1, 24, 1)]:
    cases.call("reshape", f"{list(shape)}", "jnp.reshape", t, shape)
cases.call("reshape", "to-scalar", "jnp.reshape", jnp.array([5]), ())
cases.call("reshape", "order-F", "jnp.reshape", t, (6, 4), order="F")
cases.call("reshape", "bad", "jnp.reshape", t, (5, 5), expect_error=True)
cases.call("reshape", "bad--1", "jnp.reshape", t, (5, -1), expect_error=True)
cases.call("reshape", "all", "jnp.ravel", t)
for axes in [None, (0, 2, 1), (2, 0, 1), (-1, 0, 1)]:
    cases.call("reshape", f"{axes}".replace(" ", ""), "jnp.transpose", t, axes=axes)
cases.call("reshape", "t", "jnp.matrix_transpose", t)
for s, d in [(0, -1), (2, 0), (-1, 1), ((0, 1), (2, 0)), ((0, 2), (-1, 0))]:
    cases.call("reshape", f"{s}-{d}".replace(" ", ""), "jnp.moveaxis", t, s, d)
cases.call("reshape", "0-2", "jnp.swapaxes", t, 0, 2)
for axis in [0, 1, -1, (0, 2), (0, -1)]:
    cases.call("reshape", f"{axis}".replace(" ", ""), "jnp.expand_dims", jnp.arange(3), axis)
for axis in [None, 0, (0, 2), -1]:
    cases.call("reshape", f"{axis}".replace(" ", ""), "jnp.squeeze", jnp.arange(3).reshape(1, 3, 1), axis=axis) if axis != 1 else None
cases.call("reshape", "not-one", "jnp.squeeze", t, axis=0, expect_error=True)
for shape in [(2, 3), (2, 2, 3), (3,)]:
    cases.call("reshape", f"{list(shape)}", "jnp.broadcast_to", jnp.arange(3), shape)
cases.call("reshape", "column", "jnp.broadcast_to", jnp.arange(2).reshape(2, 1), (2, 3))
cases.call("reshape", "bad", "jnp.broadcast_to", jnp.arange(2), (2, 3), expect_error=True)
cases.call("reshape", "two", "jnp.broadcast_arrays", jnp.arange(3), jnp.arange(2).reshape(2, 1))
cases.call("reshape", "dims-1", "lax.broadcast_in_dim", jnp.arange(3), (2, 3, 2), broadcast_dimensions=(1,))
cases.call("reshape", "scalar", "jnp.atleast_1d", jnp.array(3))
cases.call("reshape", "vector", "jnp.atleast_2d", jnp.arange(3))
cases.call("reshape", "1", "jnp.rot90", t[0])
cases.call("reshape", "axes-0-1", "lax.rev", t, dimensions=(0, 1))
for axis in [None, 0, 1, (0, 2)]:
    cases.call("reshape", f"{axis}".replace(" ", ""), "jnp.flip", t, axis=axis)
for shift, axis in [(1, None), (-1, 0), (2, 1), (5, 2), ((1, 2), (0, 2)), ((1, 1), (1, 1))]:
    cases.call("reshape", f"{shift}-{axis}".replace(" ", ""), "jnp.roll", t, shift, axis=axis)

# -- joining and parting ---------------------------------------------------------------------------------------------

p, q = jnp.arange(6).reshape(2, 3), jnp.arange(6, 12).reshape(2, 3)
for axis in [0, 1, -1, None]:
    cases.call("join", f"{axis}", "jnp.concatenate", [p, q], axis=axis)
cases.call("join", "mixed-dtypes", "jnp.concatenate", [p, q.astype(jnp.float32)])
cases.call("join", "mixed-halves", "jnp.concatenate", [p.astype(jnp.bfloat16), q.astype(jnp.float16)])
cases.call("join", "three", "jnp.concatenate", [p, q, p[:1]])
cases.call("join", "mismatch", "jnp.concatenate", [p, q[:, :2]], expect_error=True)
for axis in [0, 1, -1]:
    cases.call("join", f"{axis}", "jnp.stack", [p, q], axis=axis)
cases.call("join", "2d", "jnp.hstack", [p, q])
cases.call("join", "1d", "jnp.hstack", [jnp.arange(2), jnp.arange(3)])
cases.call("join", "1d", "jnp.vstack", [jnp.arange(3), jnp.arange(3)])
cases.call("join", "2d", "jnp.dstack", [p, q])
cases.call("join", "1d", "jnp.column_stack", [jnp.arange(3), jnp.arange(3)])
cases.call("join", "flat", "jnp.append", p, jnp.array([1, 2]))
cases.call("part", "2", "jnp.split", t, 2, axis=2)
cases.call("part", "at-1-3", "jnp.split", t, [1, 3], axis=2)
cases.call("part", "at-beyond", "jnp.split", jnp.arange(4), [2, 6])
cases.call("part", "uneven", "jnp.split", t, 2, axis=1, expect_error=True)
cases.call("part", "3-of-8", "jnp.array_split", jnp.arange(8), 3)
cases.call("part", "axis-1", "jnp.unstack", p, axis=1)
for reps in [2, (2, 2), (2, 1, 1), (1, 3)]:
    cases.call("repeat", f"{reps}".replace(" ", ""), "jnp.tile", p, reps)
cases.call("repeat", "flat-2", "jnp.repeat", p, 2)
cases.call("repeat", "axis-0", "jnp.repeat", p, 2, axis=0)
cases.call("repeat", "each", "jnp.repeat", p, jnp.array([1, 0, 2]), axis=1)
cases.call("repeat", "total-length-longer", "jnp.repeat", jnp.arange(3), jnp.array([1, 0, 2]), total_repeat_length=5)
cases.call("repeat", "total-length-shorter", "jnp.repeat", jnp.arange(3), jnp.array([1, 2, 2]), total_repeat_length=4)

# -- padding ---------------------------------------------------------------------------------------------------------

for mode in ["constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum", "minimum", "mean", "median"]:
    cases.call("pad", f"{mode}-1-2", "jnp.pad", p.astype(jnp.float32), ((1, 2), (2, 1)), mode=mode)
    cases.call("pad", f"{mode}-int", "jnp.pad", jnp.array([1, 2, 4, 8]), (2, 3), mode=mode)
for mode in ["reflect", "symmetric", "wrap"]:
    cases.call("pad", f"{mode}-beyond-the-array", "jnp.pad", jnp.array([1, 2, 3]), (7, 8), mode=mode)
cases.call("pad", "constant-values", "jnp.pad", p, 1, constant_values=9)
cases.call("pad", "constant-values-each", "jnp.pad", p, ((1, 1), (0, 2)), constant_values=((1, 2), (3, 4)))
cases.call("pad", "reflect-odd", "jnp.pad", jnp.array([1.0, 2.0, 4.0]), 2, mode="reflect", reflect_type="odd")
cases.call("pad", "linear_ramp-end", "jnp.pad", jnp.array([1.0, 2.0]), 3, mode="linear_ramp", end_values=5.0)
cases.call("pad", "interior", "lax.pad", jnp.arange(4.0), 9.0, padding_config=((1, 2, 2),))
cases.call("pad", "negative", "lax.pad", p.astype(jnp.float32), 0.0, padding_config=((0, 0, 0), (-1, 1, 0)))
cases.call("pad", "negative-and-interior", "lax.pad", jnp.arange(4.0), 9.0, padding_config=((-1, -2, 1),))

# -- triangles and diagonals -----------------------------------------------------------------------------------------

for f in ["tril", "triu"]:
    for k in [0, 1, -1, -5]:
        cases.call("triangle", f"k-{k}", f"jnp.{f}", t, k=k)
for k in [0, 1, -1]:
    cases.call("triangle", f"matrix-{k}", "jnp.diag", t[0], k=k)
    cases.call("triangle", f"vector-{k}", "jnp.diag", jnp.arange(1, 4), k=k)
    cases.call("triangle", f"{k}", "jnp.diagonal", t, offset=k, axis1=1, axis2=2)
    cases.call("triangle", f"{k}", "jnp.trace", t[0], offset=k)

# -- order -----------------------------------------------------------------------------------------------------------

mess = jnp.array([[3.0, 1.0, nan, 2.0, -0.0, 0.0, 1.0], [inf, -inf, 5.0, nan, nan, -1.0, 5.0]])
dup = jnp.array([3, 1, 2, 1, 3, 2, 1, 0])
for f in ["sort", "argsort"]:
    for axis in [0, -1, None]:
        cases.call("sort", f"axis-{axis}", f"jnp.{f}", mess, axis=axis)
    cases.call("sort", "descending", f"jnp.{f}", mess, descending=True)
    cases.call("sort", "int-ties", f"jnp.{f}", dup)
    cases.call("sort", "int-ties-descending", f"jnp.{f}", dup, descending=True)
    cases.call("sort", "bool", f"jnp.{f}", dup > 1)
    cases.call("sort", "uint32", f"jnp.{f}", jnp.array([3, 2**32 - 1, 0, 2**31], jnp.uint32))
    cases.call("sort", "bfloat16", f"jnp.{f}", mess.astype(jnp.bfloat16))
cases.call("sort", "two-keys", "lax.sort", (dup, jnp.arange(8)[::-1], jnp.arange(8.0)), num_keys=2)
cases.call("sort", "one-key-three-operands", "lax.sort", (dup, jnp.arange(8)[::-1], jnp.arange(8.0)), num_keys=1)
cases.call("sort", "pair", "lax.sort_key_val", dup, jnp.arange(8))
for k in [0, 1, 3, 7]:
    cases.call("sort", f"k-{k}", "lax.top_k", mess, k)
cases.call("sort", "int-ties", "lax.top_k", dup, 5)
cases.call("sort", "zeros", "lax.top_k", jnp.array([0.0, -0.0, 0.0, -1.0]), 3)
cases.call("sort", "two", "jnp.lexsort", (jnp.array([1, 0, 1, 0]), jnp.array([2, 2, 1, 1])))
cases.call("sort", "left", "jnp.searchsorted", jnp.array([1.0, 2.0, 2.0, 3.0]), jnp.array([0.0, 1.0, 2.0, 2.5, 4.0, nan]))
cases.call("sort", "right", "jnp.searchsorted", jnp.array([1.0, 2.0, 2.0, 3.0]), jnp.array([0.0, 1.0, 2.0, 2.5, 4.0, nan]), side="right")
cases.call("sort", "default", "jnp.digitize", jnp.array([0.2, 6.4, 3.0, 1.6]), jnp.array([0.0, 1.0, 2.5, 4.0, 10.0]))
cases.call("sort", "default", "jnp.unique", dup)
cases.call("sort", "size-6", "jnp.unique", dup, size=6, fill_value=-1)
cases.call("sort", "all-returned", "jnp.unique", dup, return_index=True, return_inverse=True, return_counts=True)
cases.call("sort", "default", "jnp.bincount", dup)
cases.call("sort", "weights-length", "jnp.bincount", dup, weights=jnp.arange(8.0), length=6)
cases.call("sort", "default", "jnp.nonzero", dup - 1)
cases.call("sort", "size-4", "jnp.nonzero", dup - 3, size=4, fill_value=9)
cases.call("sort", "bins-4", "jnp.histogram", jnp.array([0.1, 0.4, 0.4, 0.9, 1.0]), bins=4)
cases.call("sort", "default", "jnp.isin", dup, jnp.array([1, 3]))
cases.call("sort", "default", "jnp.interp", jnp.array([-1.0, 0.5, 1.5, 9.0]), jnp.array([0.0, 1.0, 2.0]), jnp.array([10.0, 20.0, 15.0]))
cases.call("sort", "full", "jnp.convolve", jnp.array([1.0, 2.0, 3.0]), jnp.array([0.5, 1.0]))
cases.call("sort", "same", "jnp.convolve", jnp.array([1.0, 2.0, 3.0]), jnp.array([0.5, 1.0]), mode="same")

# -- looking up (out of range too) -----------------------------------------------------------------------------------

w = jnp.arange(12.0).reshape(4, 3)
idx = jnp.array([0, 3, -1, 4, -4, -5, 9])
for mode in [None, "fill", "clip", "wrap"]:
    cases.call("take", f"axis-0-{mode}", "jnp.take", w, idx, axis=0, mode=mode)
    cases.call("take", f"int-{mode}", "jnp.take", w.astype(jnp.int32), idx, axis=0, mode=mode)
cases.call("take", "uint32-default", "jnp.take", w.astype(jnp.uint32), idx, axis=0)
cases.call("take", "bool-default", "jnp.take", w > 3, idx, axis=0)
cases.call("take", "fill-value", "jnp.take", w, idx, axis=0, fill_value=-7.0)
cases.call("take", "flat", "jnp.take", w, jnp.array([0, 5, 11, 12]))
cases.call("take", "axis-1-2d-indices", "jnp.take", w, jnp.array([[0, 2], [1, 1]]), axis=1)
cases.call("take", "scalar", "jnp.take", w, 1, axis=0)
along = jnp.array([[0, 2, 1], [3, -1, 4], [-4, -5, 0]])
for mode in [None, "fill", "clip"]:
    cases.call("take", f"axis-0-{mode}", "jnp.take_along_axis", w, along, axis=0, mode=mode)
cases.call("take", "axis-1", "jnp.take_along_axis", w, jnp.array([[2], [0], [1], [2]]), axis=1)
cases.call("take", "broadcast", "jnp.take_along_axis", w, jnp.array([[1, 0]]), axis=1)
cases.call("take", "axis-None", "jnp.take_along_axis", w, jnp.array([11, 0]), axis=None)
cases.call("take", "1d", "jnp.choose", jnp.array([0, 1, 0]), [jnp.array([1, 2, 3]), jnp.array([4, 5, 6])])
for start in [(0, 0), (1, 1), (3, 2), (-1, -1), (-9, 9), (2, 0)]:
    starts = [jnp.array(s) for s in start]
    cases.call("slice", f"{list(start)}", "lax.dynamic_slice", w, starts, slice_sizes=(2, 2))
    cases.call("slice", f"{list(start)}", "lax.dynamic_update_slice", w, -jnp.ones((2, 2)), starts)
cases.call("slice", "strides", "lax.slice", w, (0, 1), (4, 3), (2, 1))
cases.call("slice", "axis-1", "lax.slice_in_dim", w, 0, 3, stride=2, axis=1)
cases.call("slice", "axis-0", "lax.dynamic_slice_in_dim", w, 3, 2, axis=0)
cases.call("slice", "-1", "lax.dynamic_index_in_dim", w, -1, axis=0, keepdims=False)
cases.call("slice", "1", "lax.dynamic_update_index_in_dim", w, jnp.zeros((1, 3)), 1, axis=0)

cases.write("ops_shape.json")
