import { assert, describe, it } from "@effect/vitest"
import { closedProgram } from "../../src/Program/build.ts"
import * as Control from "../../src/Program/control.ts"
import { cost } from "../../src/Program/cost.ts"
import * as Equality from "../../src/Program/equality.ts"
import { format } from "../../src/Program/print.ts"
import * as Program from "../../src/Program/Program.ts"
import { simplify } from "../../src/Program/simplify.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import * as Tensor from "../../src/Tensor/Tensor.ts"

const f32 = (...shape: ReadonlyArray<number>) => ShapedArray.make(shape, "float32")
const i32 = (...shape: ReadonlyArray<number>) => ShapedArray.make(shape, "int32")

type F = (...xs: ReadonlyArray<Tensor.Tensor>) => ReadonlyArray<Tensor.Tensor>

/** The Program of a function of Tensors. */
const program = (f: F, ...avals: ReadonlyArray<ShapedArray.ShapedArray>): Program.Program =>
  closedProgram("test", avals, (args) => f(...args))

const simplified = (f: F, ...avals: ReadonlyArray<ShapedArray.ShapedArray>): string =>
  format(simplify(program(f, ...avals)))

const constant = (value: number, dtype: "float32" | "int32", ...shape: ReadonlyArray<number>) =>
  lax.broadcastTo(Tensor.literal(value, dtype), shape)

describe("simplify", () => {
  it("inlines calls, with fresh variables each time", () => {
    const inner = program((x) => [lax.sin(lax.neg(x))], f32())
    const call = (x: Tensor.Tensor) => Control.call("f", inner, [x]).outputs[0]
    assert.strictEqual(
      simplified((x) => [call(call(x))], f32()),
      "{ lambda ; a:f32[]. let b:f32[] = neg a; c:f32[] = sin b; d:f32[] = neg c; e:f32[] = sin d in (e,) }"
    )
  })

  it("merges equal equations and drops dead ones, but no effects", () => {
    const p = program((x) => [lax.add(lax.sin(x), lax.sin(x)), lax.cos(x)], f32(2))
    assert.strictEqual(
      format(simplify(Program.make(p.inputs, p.equations, p.outputs.slice(0, 1)))),
      "{ lambda ; a:f32[2]. let b:f32[2] = sin a; c:f32[2] = add b b in (c,) }"
    )
    const effect: Program.Equation = {
      primitive: "debug_callback",
      params: { callback: () => {}, name: "print" },
      inputs: [p.inputs[0]],
      outputs: []
    }
    assert.strictEqual(
      simplify(Program.make(p.inputs, [effect, effect], [])).equations.length,
      2
    )
  })

  it("merges neither checkpoints nor barriers", () => {
    const inner = program((x) => [lax.sin(x)], f32())
    const p = program((x) => {
      const once = () => Control.checkpoint(inner, "nothing_saveable", [x]).outputs[0]
      return [once(), once(), lax.sin(x), ...Control.optimizationBarrier([x]), ...Control.optimizationBarrier([x])]
    }, f32())
    assert.strictEqual(simplify(p).equations.length, 5)
    assert.strictEqual(
      format(simplify(p, { final: true })),
      `{ lambda ; a:f32[]. let
    b:f32[] = sin a
    c:f32[] = optimization_barrier a
    d:f32[] = optimization_barrier a
  in (b, b, b, c, d) }`
    )
  })

  it("cancels inverses", () => {
    assert.strictEqual(
      simplified((x) => [
        lax.transpose(lax.transpose(x, [1, 2, 0]), [2, 0, 1]),
        lax.reshape(lax.reshape(x, [24]), [2, 3, 4]),
        lax.neg(lax.neg(x)),
        lax.rev(lax.rev(x, [1]), [1])
      ], f32(2, 3, 4)),
      "{ lambda ; a:f32[2,3,4]. let  in (a, a, a, a) }"
    )
    assert.strictEqual(
      simplified((x) => [
        lax.transpose(lax.transpose(x, [1, 2, 0]), [1, 2, 0]),
        lax.reshape(lax.reshape(x, [24]), [6, 4]),
        lax.broadcastInDim(lax.broadcastInDim(x, [5, 2, 3, 4], [1, 2, 3]), [5, 2, 3, 6, 4], [0, 1, 2, 4])
      ], f32(2, 3, 4)),
      `{ lambda ; a:f32[2,3,4]. let
    b:f32[4,2,3] = transpose[permutation=(2, 0, 1)] a
    c:f32[6,4] = reshape[new_sizes=(6, 4)] a
    d:f32[5,2,3,6,4] = broadcast_in_dim[broadcast_dimensions=(1, 2, 4)] a
  in (b, c, d) }`
    )
  })

  it("drops what does nothing, exactly", () => {
    assert.strictEqual(
      simplified((x) => [
        lax.mul(x, constant(1, "float32", 3)),
        lax.mul(constant(1, "float32", 3), x),
        lax.div(x, constant(1, "float32", 3)),
        lax.sub(x, constant(0, "float32", 3)),
        lax.add(x, constant(-0, "float32", 3)),
        lax.max(constant(-Infinity, "float32", 3), x),
        lax.min(x, constant(Infinity, "float32", 3))
      ], f32(3)),
      "{ lambda ; a:f32[3]. let  in (a, a, a, a, a, a, a) }"
    )
    assert.strictEqual(
      simplified((x) => [
        lax.add(x, constant(0, "int32", 3)),
        lax.sub(x, constant(0, "int32", 3)),
        lax.max(x, constant(-(2 ** 31), "int32", 3))
      ], i32(3)),
      "{ lambda ; a:i32[3]. let  in (a, a, a) }"
    )
    // -0 + 0 is 0, nan · 0 is nan, and max(nan, ∞) is nan: these stay.
    const stays = program((x) => [
      lax.max(x, constant(Infinity, "float32", 3)),
      lax.add(x, constant(0, "float32", 3)),
      lax.mul(x, constant(0, "float32", 3)),
      lax.sub(x, constant(-0, "float32", 3))
    ], f32(3))
    assert.strictEqual(simplify(stays).equations.length, 7)
  })

  it("converts constants", () => {
    assert.strictEqual(
      simplified((x) => [lax.mul(x, lax.convertElementType(Tensor.literal(2, "int32", true), "float32"))], f32()),
      "{ lambda ; a:f32[]. let b:f32[] = mul a 2.0:f32[] in (b,) }"
    )
  })

  it("moves what does not change out of a scan, but broadcasts", () => {
    const body = program(
      (w, c, x) => {
        const twice = lax.transpose(lax.add(w, constant(1, "float32", 2, 2)), [1, 0])
        return [lax.add(c, lax.mul(twice, constant(3, "float32", 2, 2))), lax.add(x, lax.sin(x))]
      },
      f32(2, 2),
      f32(2, 2),
      f32()
    )
    const p = program(
      (w, c, xs) =>
        Control.scan(
          { program: body, length: 5, reverse: false, num_consts: 1, num_carry: 1, unroll: 1 },
          [w, c, xs]
        ).outputs,
      f32(2, 2),
      f32(2, 2),
      f32(5)
    )
    assert.strictEqual(
      format(simplify(p)),
      `{ lambda ; a:f32[2,2] b:f32[2,2] c:f32[5]. let
    d:f32[2,2] = broadcast_in_dim 1.0:f32[]
    e:f32[2,2] = add a d
    f:f32[2,2] = transpose[permutation=(1, 0)] e
    g:f32[2,2] = broadcast_in_dim 3.0:f32[]
    h:f32[2,2] = mul f g
    i:f32[2,2] j:f32[5] = scan[
      jaxpr={ lambda ; k:f32[2,2] l:f32[2,2] m:f32[]. let
          n:f32[2,2] = add l k
          o:f32[] = sin m
          p:f32[] = add m o
        in (n, p) }
      length=5
      num_carry=1
      num_consts=1
      reverse=False
      unroll=1
    ] h b c
  in (i, j) }`
    )
  })

  it("drops unused results, carries and operands of loops and branches", () => {
    // Carry 0 is wanted and reads carry 1; carry 2 and the first y are not wanted.
    const body = program(
      (k, c0, c1, c2, x, z) => [
        lax.add(c0, c1),
        lax.add(c1, x),
        lax.mul(c2, k),
        lax.sin(z),
        lax.cos(x)
      ],
      f32(),
      f32(),
      f32(),
      f32(),
      f32(),
      f32()
    )
    const p = program(
      (...xs) => {
        const out = Control.scan(
          { program: body, length: 4, reverse: false, num_consts: 1, num_carry: 3, unroll: 1 },
          xs
        ).outputs
        return [out[0], out[4]]
      },
      f32(),
      f32(),
      f32(),
      f32(),
      f32(4),
      f32(4)
    )
    assert.strictEqual(
      format(simplify(p)),
      `{ lambda ; a:f32[] b:f32[] c:f32[] d:f32[] e:f32[4] f:f32[4]. let
    g:f32[] _:f32[] h:f32[4] = scan[
      jaxpr={ lambda ; i:f32[] j:f32[] k:f32[]. let
          l:f32[] = add i j
          m:f32[] = add j k
          n:f32[] = cos k
        in (l, m, n) }
      length=4
      num_carry=2
      num_consts=0
      reverse=False
      unroll=1
    ] b c e
  in (g, h) }`
    )
    const branch = (f: F) => program(f, f32(), f32())
    const q = program(
      (i, x, y) => {
        const branches = [branch((a, b) => [lax.sin(a), lax.cos(b)]), branch((a, b) => [a, b])]
        return [Control.cond(i, branches, [x, y]).outputs[1]]
      },
      i32(),
      f32(),
      f32()
    )
    assert.include(format(simplify(q)), "] a c\n")
    const w = program(
      (n, x, y) => {
        const cond = program((n) => [lax.gt(n, Tensor.literal(0, "int32"))], i32(), f32(), f32())
        const step = program(
          (n, x, y) => [
            lax.sub(n, Tensor.literal(1, "int32")),
            lax.sin(x),
            lax.cos(y)
          ],
          i32(),
          f32(),
          f32()
        )
        return [Control.whileLoop({ cond, body: step, cond_consts: 0, body_consts: 0 }, [n, x, y]).outputs[2]]
      },
      i32(),
      f32(),
      f32()
    )
    assert.include(format(simplify(w)), "] a c\n")
    assert.notInclude(format(simplify(w)), "sin")
  })
})

describe("equality", () => {
  const loop = (k: number) =>
    program((x) => {
      const body = program((c) => [lax.mul(c, Tensor.literal(k, "float32"))], f32())
      return [
        ...Control.scan(
          { program: body, length: 3, reverse: false, num_consts: 0, num_carry: 1, unroll: 1 },
          [lax.reduceSum(x)]
        ).outputs,
        lax.reshape(x, [6])
      ]
    }, f32(2, 3))

  it("does not see the identity of variables", () => {
    assert.isTrue(Equality.equals(loop(2), loop(2)))
    assert.strictEqual(Equality.hash(loop(2)), Equality.hash(loop(2)))
  })

  it("sees constants, parameters, shapes, wiring, and the sign of zero", () => {
    assert.isFalse(Equality.equals(loop(2), loop(3)))
    assert.notStrictEqual(Equality.hash(loop(2)), Equality.hash(loop(3)))
    assert.isFalse(Equality.equals(loop(0), loop(-0)))
    assert.notStrictEqual(Equality.hash(loop(0)), Equality.hash(loop(-0)))
    const variants = [
      program((x, y) => [lax.sub(x, y)], f32(2), f32(2)),
      program((x, y) => [lax.sub(y, x)], f32(2), f32(2)),
      program((x, y) => [lax.sub(x, y)], f32(3), f32(3)),
      program((x, y) => [lax.add(x, y)], f32(2), f32(2)),
      program((x, y) => [lax.sub(x, y)], i32(2), i32(2)),
      program((x, y) => [lax.sub(x, y), x], f32(2), f32(2)),
      program((x) => [lax.reduceSum(x, 0)], f32(2, 2)),
      program((x) => [lax.reduceSum(x, 1)], f32(2, 2))
    ]
    for (const [i, a] of variants.entries()) {
      for (const [j, b] of variants.entries()) assert.strictEqual(Equality.equals(a, b), i === j, `${i} ${j}`)
    }
    assert.strictEqual(new Set(variants.map(Equality.hash)).size, variants.length)
  })
})

describe("cost", () => {
  it("sums operations and bytes, and multiplies by the length of a scan", () => {
    assert.deepStrictEqual(cost(program((x, y) => [lax.add(x, y)], f32(2, 3), f32(2, 3))), { flops: 6, bytes: 72 })
    assert.deepStrictEqual(cost(program((x) => [lax.transpose(x, [1, 0])], f32(2, 3))), { flops: 0, bytes: 48 })
    const body = program((c) => [lax.sin(c)], f32(10))
    const p = program(
      (x) =>
        Control.scan({ program: body, length: 7, reverse: false, num_consts: 0, num_carry: 1, unroll: 1 }, [x]).outputs,
      f32(10)
    )
    assert.deepStrictEqual(cost(p), { flops: 70, bytes: 560 })
  })
})
