import { assert, describe, it } from "@effect/vitest"
import { closedProgram } from "../../src/Program/build.ts"
import * as Control from "../../src/Program/control.ts"
import { format } from "../../src/Program/print.ts"
import * as Program from "../../src/Program/Program.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import * as Tensor from "../../src/Tensor/Tensor.ts"

const f32 = (...shape: ReadonlyArray<number>) => ShapedArray.make(shape, "float32")

/** The Program of a function of Tensors. */
const program = (
  f: (...xs: ReadonlyArray<Tensor.Tensor>) => ReadonlyArray<Tensor.Tensor>,
  ...avals: ReadonlyArray<ShapedArray.ShapedArray>
): Program.Program => closedProgram("test", avals, (args) => f(...args))

describe("format", () => {
  it("prints what fits on one line", () => {
    assert.strictEqual(
      format(program((a) => [lax.reduceSum(a, 0)], f32(2, 3))),
      "{ lambda ; a:f32[2,3]. let b:f32[3] = reduce_sum[axes=(0,)] a in (b,) }"
    )
  })

  it("prints one equation a line where one line is too short", () => {
    const p = program(
      (a, b) => {
        const c = lax.dotGeneral(a, b, { contracting: [[1], [0]], batch: [[], []] }, "float32")
        return [lax.add(lax.sin(c), lax.broadcastTo(Tensor.literal(1, "float32"), [4]))]
      },
      f32(4, 3),
      f32(3)
    )
    assert.strictEqual(
      format(p),
      `{ lambda ; a:f32[4,3] b:f32[3]. let
    c:f32[4] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] a b
    d:f32[4] = sin c
    e:f32[4] = broadcast_in_dim 1.0:f32[]
    f:f32[4] = add d e
  in (f,) }`
    )
  })

  it("prints unused outputs as _, hyphens, constants, and no trailing spaces", () => {
    const p = program((a) => [lax.topK(a, 2)[0], lax.iota("int32", [3], 0)], f32(4))
    assert.strictEqual(
      format(p),
      "{ lambda ; a:f32[4]. let\n    b:f32[2] _:i32[2] = top_k[k=2] a\n    c:i32[3] = iota[dimension=0 dtype=int32 shape=(3,)]\n  in (b, c) }"
    )
    assert.strictEqual(format(program(() => [])), "{ lambda ; . let  in () }")
    const scalars = [1, -0, 1e-5, 1e20, Infinity, NaN, 0.1].map((x) => Tensor.literal(x, "float32"))
    assert.strictEqual(
      format(program(() => [...scalars, Tensor.literal(1, "bool"), Tensor.literal(3, "uint32")])),
      "{ lambda ; . let\n  in (1.0:f32[], -0.0:f32[], 1e-05:f32[], 1e+20:f32[], inf:f32[], nan:f32[], 0.1:f32[], True:bool[],\n    3:u32[]) }"
    )
  })

  it("nests Programs, with letters that go on", () => {
    const body = program((c, x) => [lax.add(c, x), lax.mul(c, x)], f32(), f32())
    const p = program(
      (a, b) => {
        const node = Control.scan(
          { program: body, length: 3, reverse: false, num_consts: 0, num_carry: 1, unroll: 1 },
          [a, b]
        )
        return Control.call("inc", program((x) => [lax.neg(x)], f32()), [node.outputs[0]]).outputs
      },
      f32(),
      f32(3)
    )
    assert.strictEqual(
      format(p),
      `{ lambda ; a:f32[] b:f32[3]. let
    c:f32[] _:f32[3] = scan[
      jaxpr={ lambda ; d:f32[] e:f32[]. let f:f32[] = add d e; g:f32[] = mul d e in (f, g) }
      length=3
      num_carry=1
      num_consts=0
      reverse=False
      unroll=1
    ] a b
    h:f32[] = jit[name=inc jaxpr={ lambda ; c:f32[]. let h:f32[] = neg c in (h,) }] c
  in (h,) }`
    )
  })

  it("prints branches in a tuple", () => {
    const f = program((x) => [lax.neg(x)], f32())
    const g = program((x) => [x], f32())
    const p = program((i, x) => Control.cond(i, [f, g], [x]).outputs, ShapedArray.make([], "int32"), f32())
    assert.strictEqual(
      format(p),
      `{ lambda ; a:i32[] b:f32[]. let
    c:f32[] = cond[
      branches=(
        { lambda ; d:f32[]. let e:f32[] = neg d in (e,) }
        { lambda ; f:f32[]. let  in (f,) }
      )
    ] a b
  in (c,) }`
    )
  })

  it("goes on with aa after z", () => {
    const p = program((a) => [Array.from({ length: 27 }).reduce<Tensor.Tensor>((x) => lax.neg(x), a)], f32())
    assert.include(format(p), "z:f32[] = neg y")
    assert.include(format(p), "ab:f32[] = neg aa")
  })
})
