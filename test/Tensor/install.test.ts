// Methods, functions and pipes are the same operations; errors become typed failures.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import { pipe } from "effect/Function"
import * as Schema from "effect/Schema"
import { toNested, toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as Tensor from "../../src/Tensor/index.ts"

layer(Cpu.layer)("three ways to say it", (it) => {
  it.effect("agree", () =>
    Effect.gen(function*() {
      const x = Tensor.arange(6, "float32").reshape([2, 3])
      const y = Tensor.ones([3])
      const same = Effect.fnUntraced(function*(...ways: ReadonlyArray<Tensor.Tensor>) {
        const values = yield* Effect.forEach(ways, (way) => toNested(way))
        for (const value of values) assert.deepStrictEqual(value, values[0])
      })
      yield* same(Tensor.add(x, y), pipe(x, Tensor.add(y)), x.add(y))
      yield* same(
        Tensor.sum(x, { axis: 0 }),
        pipe(x, Tensor.sum({ axis: 0 })),
        x.sum({ axis: 0 }),
        x.sum(0),
        x.pipe(Tensor.sum(0))
      )
      yield* same(Tensor.sum(x), x.pipe(Tensor.sum()), x.sum())
      yield* same(Tensor.clip(x, 1, 2), pipe(x, Tensor.clip(1, 2)), x.clip(1, 2))
      yield* same(Tensor.reshape(x, [3, 2]), x.pipe(Tensor.reshape([3, 2])), x.reshape([3, 2]))
      yield* same(Tensor.where(x.gt(1), x, 0), pipe(x.gt(1), Tensor.where(x, 0)), x.gt(1).where(x, 0))
      yield* same(Tensor.transpose(x), x.pipe(Tensor.transpose()), x.transpose(), x.T, x.mT)
      yield* same(Tensor.round(x, 1), x.pipe(Tensor.round(1)), x.round(1))
      yield* same(Tensor.matmul(x, y), x.pipe(Tensor.matmul(y)), x.matmul(y), x.dot(y))
      yield* same(Tensor.concatenate([x, x]), pipe([x, x], Tensor.concatenate()), pipe([x, x], Tensor.concatenate(0)))
      yield* same(Tensor.argmax(x, 1), x.pipe(Tensor.argmax({ axis: 1 })), x.argmax(1))
    }))

  it.effect("subtract in order", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* toNested(pipe(Tensor.array([5]), Tensor.sub(2))), [3])
      assert.deepStrictEqual(yield* toNested(Tensor.array([5]).sub(2)), [3])
      assert.deepStrictEqual(yield* toNested(Tensor.sub(2, Tensor.array([5]))), [-3])
    }))
})

describe("a Tensor as a value", () => {
  it("equals itself only", () => {
    const x = Tensor.array([1])
    assert(Equal.equals(x, x))
    assert(!Equal.equals(x, Tensor.array([1])))
  })
})

describe("attempt", () => {
  it.effect("catches what operations throw", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Tensor.attempt(() => Tensor.ones([2, 3]).add(Tensor.ones([4]))))
      assert.strictEqual(error._tag, "ShapeError")
      assert.match(error.message, /\[2,3\] and \[4\]/)
    }))

  it.effect("leaves other errors as defects", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Tensor.attempt(() => {
        throw new RangeError("no")
      }))
      assert(Exit.isFailure(exit) && exit.cause.reasons[0]._tag === "Die")
    }))

  it.effect("says what is no operand", () =>
    Effect.gen(function*() {
      // @ts-expect-error A string is no operand.
      const error = yield* Effect.flip(Tensor.attempt(() => Tensor.exp("x")))
      assert.match(error.message, /exp: expected a Tensor, a number or a boolean, found "x"/)
    }))
})

// --- broadcasting, by its definition ---

const Size = Schema.Literals([1, 2, 3])
const Sizes = Schema.Array(Size)

/** The reference: pad with ones, and stretch. */
const stretched = (
  shape: ReadonlyArray<number>,
  to: ReadonlyArray<number>,
  data: ArrayLike<number>
): ReadonlyArray<number> => {
  const padded = [...to.map(() => 1).slice(shape.length), ...shape]
  const strides = Tensor.Shape.strides(padded)
  const out = Tensor.Shape.strides(to)
  return Array.from({ length: Tensor.Shape.size(to) }, (_, flat) => {
    let at = 0
    to.forEach((d, i) => at += (padded[i] === 1 ? 0 : Math.floor(flat / out[i]) % d) * strides[i])
    return data[at]
  })
}

layer(Cpu.layer)("broadcasting", (it) => {
  it.effect.prop(
    "stretches sizes of 1, aligned at the last axis",
    { shape: Sizes, mask: Schema.Array(Schema.Boolean) },
    ({ mask, shape: long }) =>
      Effect.gen(function*() {
        const shape = long.slice(0, 4)
        // y has some axes of x stretched, and a few of its leading axes left out.
        const drop = mask.length % (shape.length + 1)
        const other = shape.map((d, i) => mask[i] === true ? 1 : d).slice(drop)
        const x = Tensor.arange(Tensor.Shape.size(shape)).reshape(shape)
        const y = Tensor.arange(Tensor.Shape.size(other)).reshape(other)
        const sum = yield* toTypedArray(x.add(y.mul(100)))
        const expected = stretched(other, shape, yield* toTypedArray(y)).map((v, i) => v * 100 + i)
        assert.deepStrictEqual(Array.from(sum), expected)
      }),
    { arbitrary: { runs: 50 } }
  )

  it.effect("refuses sizes that differ", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Tensor.attempt(() => Tensor.zeros([2, 3]).mul(Tensor.zeros([2]))))
      assert.strictEqual(error._tag, "ShapeError")
    }))
})
