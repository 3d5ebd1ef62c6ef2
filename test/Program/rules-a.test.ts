// Rules of elementwise primitives, shapes, reductions, sorts and the generator, as tables: each applies its own
// primitive. What they compute is checked in derivatives.test.ts.
import { assert, describe, it } from "@effect/vitest"
import type { ArrayPrimitive, Rule } from "../../src/Program/Primitive.ts"
import { elementwise } from "../../src/Program/rules/elementwise.ts"
import { rules } from "../../src/Program/rules/index.ts"
import { moveAxis, takeAlongAxis } from "../../src/Program/rules/support.ts"
import * as DType from "../../src/Tensor/DType.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import { argument, type Tensor, traceScope } from "../../src/Tensor/Tensor.ts"
import { fromValues, random, tensor } from "../support/arbitrary.ts"
import { checkBatching } from "../support/derivatives.ts"
import { evaluate } from "../support/reference/index.ts"

const scope = traceScope("test")
const array = (dtype: DType.DType, ...shape: ReadonlyArray<number>): Tensor =>
  argument({ shape, dtype, weakType: false }, scope)

const binary = new Set<string>([
  "add,sub,mul,div,rem,pow,max,min,atan2,nextafter,and,or,xor,shift_left,shift_right_arithmetic,shift_right_logical",
  "eq,ne,lt,le,gt,ge"
].flatMap((s) => s.split(",")))

const integers = new Set(
  "not,population_count,clz,and,or,xor,shift_left,shift_right_arithmetic,shift_right_logical".split(",")
)

const params: Readonly<Record<string, object>> = {
  integer_pow: { y: 3 },
  convert_element_type: { new_dtype: "float16", weak_type: false },
  bitcast_convert_type: { new_dtype: "int32" }
}

const operands = (primitive: string): ReadonlyArray<DType.DType> => {
  if (primitive === "select_n") return ["bool", "float32", "float32"]
  if (primitive === "clamp") return ["float32", "float32", "float32"]
  const dtype = integers.has(primitive) ? "int32" : "float32"
  return binary.has(primitive) ? [dtype, dtype] : [dtype]
}

describe("elementwise", () => {
  for (const primitive of Object.keys(elementwise)) {
    it(`${primitive} applies itself, with mapped axes brought together`, () => {
      const rule = rules[primitive as ArrayPrimitive] as Rule<ArrayPrimitive>
      const dtypes = operands(primitive)
      // The first operand is mapped at axis 1, the second not, the third at axis 2.
      const shapes = [[2, 5, 3], [2, 3], [2, 3, 5]]
      const inputs = dtypes.map((d, i) => array(d, ...shapes[i]))
      const axes = [1, null, 2].slice(0, dtypes.length)
      const p = params[primitive] ?? {}
      const { axes: at, outputs: [out] } = rule.batch(p as never, inputs, axes, { size: 5, name: undefined })
      assert(out.source._tag === "Pending")
      assert.strictEqual(out.source.node.primitive, primitive)
      assert.deepStrictEqual(out.source.node.params, p)
      assert.deepStrictEqual([out.shape, at], [[2, 5, 3], [1]])
    })
  }
})

describe("threefry2x32", () => {
  it("is batched elementwise", () => {
    const rng = random(5)
    const make = () => [1, 2, 3, 4].map(() => tensor(rng, [3], "uint32"))
    checkBatching(rng, ([a, b, c, d]) => lax.threefry2x32(a, b, c, d), make)
  })
})

describe("support", () => {
  it("takeAlongAxis and moveAxis", () => {
    const x = fromValues([1, 2, 3, 4, 5, 6], [2, 3])
    const at = fromValues([2, 0, 1, 1], [2, 2], "int32")
    assert.deepStrictEqual(evaluate([takeAlongAxis(x, at, 1)])[0], { shape: [2, 2], data: [3, 1, 5, 5] })
    assert.deepStrictEqual(moveAxis(array("float32", 2, 3, 4, 5), 1, 3).shape, [2, 4, 5, 3])
    assert.deepStrictEqual(moveAxis(array("float32", 2, 3, 4, 5), 3, 0).shape, [5, 2, 3, 4])
  })

  it("derivatives of extrema do not ask for the result, which may have been rounded in another way", () => {
    const x = fromValues([1, 5, 2, 2], [4])
    const y = fromValues([3, 4, 2, NaN], [4])
    const ones = fromValues([1, 1, 1, 1], [4])
    const tangent = (out: Tensor, operands: ReadonlyArray<Tensor>) => {
      assert(out.source._tag === "Pending")
      const { params, primitive } = out.source.node
      const rule = rules[primitive as ArrayPrimitive] as Rule<ArrayPrimitive>
      const [t] = rule.jvp?.(params as never, operands, [ones, ...operands.slice(1).map(() => null)], [out]) ?? []
      assert(t !== null && t !== undefined)
      const elsewhere = { shape: out.shape, data: out.shape.length === 0 ? [4.75] : [3.25, 5.25, 2.25, NaN] }
      return evaluate([t], new Map([[out, elsewhere]]))[0].data
    }
    assert.deepStrictEqual(tangent(lax.max(x, y), [x, y]), [0, 1, 0.5, 0])
    assert.deepStrictEqual(tangent(lax.min(x, y), [x, y]), [1, 0, 0.5, 0])
    assert.deepStrictEqual(tangent(lax.reduceMax(x), [x]), [1])
  })

  it("keeps dtypes: derivatives of 16-bit floats are 16-bit floats", () => {
    for (const dtype of ["float16", "bfloat16", "float32"] as const) {
      for (const f of [lax.sqrt, lax.tanh, lax.digamma, lax.erfInv, lax.abs, lax.cbrt]) {
        const x = array(dtype, 3)
        const out = f(x)
        assert(out.source._tag === "Pending")
        const rule = rules[out.source.node.primitive as ArrayPrimitive] as Rule<ArrayPrimitive>
        const [t] = rule.jvp?.({} as never, [x], [x], [out]) ?? []
        assert.strictEqual(t?.dtype, dtype)
        assert.isFalse(t?.weakType)
      }
    }
  })
})
