import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { compute, toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as T from "../../src/Tensor/index.ts"
import { type At, type Index, slice } from "../../src/Tensor/numpy/indexing.ts"
import { argument, traceScope } from "../../src/Tensor/Tensor.ts"
import { assertClose } from "../support/close.ts"
import * as golden from "../support/golden.ts"

/** A range as the golden file writes it. */
interface Range {
  readonly slice: readonly [start: number | null, stop: number | null, step: number | null]
}

const isRange = (i: golden.Argument | Range): i is Range =>
  typeof i === "object" && i !== null && Object.hasOwn(i, "slice")

/** A case of ops_indexing.json. */
interface Case extends golden.Case {
  readonly x: golden.Value
  readonly index: ReadonlyArray<golden.Argument | Range>
  readonly method?: "get" | "set" | "add" | "subtract" | "multiply" | "divide" | "power" | "min" | "max" | "apply"
}

const files = golden.cases("ops_indexing.json") as unknown as Readonly<Record<string, ReadonlyArray<Case>>>

/** Not as in JAX: Python's bare True and False are no indices, and a number out of range is refused. */
const supported = (c: Case): boolean =>
  !c.index.some((i) => !isRange(i) && golden.isScalar(i)) && c.name !== "v6.at[9].set(7.0)"

const indices = (c: Case): ReadonlyArray<Index> =>
  c.index.map((i) => isRange(i) ? slice(...i.slice) : i === "None" ? null : golden.input(i) as Index)

const call = (c: Case, place: At): T.Tensor => {
  const { mode, fill_value: fill } = c.params ?? {}
  const options = {
    ...(mode === undefined || mode === null ? {} : { mode: mode as T.IndexMode }),
    ...(fill === undefined || fill === null ? {} : { fillValue: Number(golden.input(fill)) })
  }
  if (c.method === undefined || c.method === "get") return place.get(options)
  if (c.method === "apply") return place.apply((x) => T.sin(x), options)
  return place[c.method](golden.input(c.args[0]) as T.TensorLike, options)
}

const check = (c: Case) =>
  Effect.gen(function*() {
    const out = call(c, T.at(golden.tensor(c.x), ...indices(c)))
    assert.deepStrictEqual([out.dtype, out.shape], [golden.aval(c.out).dtype, golden.aval(c.out).shape], c.name)
    assertClose(yield* toNested(out), golden.numbers(c.out), { rtol: 1e-6, atol: 0 }, c.name)
  })

const checkGroup = (group: string) =>
  Effect.gen(function*() {
    for (const c of files[group].filter(supported)) if (c.error === undefined) yield* check(c)
  }).pipe(Effect.provide(Cpu.layer))

describe("x.at(...) agrees with JAX", () => {
  for (const group of ["get", "get-mode", "at", "at-mode", "get-traced"]) it.effect(group, () => checkGroup(group))
})

const iota = (...shape: ReadonlyArray<number>) => T.arange(shape.reduce((a, b) => a * b, 1)).reshape(shape)

const refused = (f: () => unknown): string => {
  try {
    f()
  } catch (error) {
    assert.isTrue(T.isTensorError !== undefined && error instanceof Error)
    return (error as { readonly _tag: string })._tag
  }
  return "nothing"
}

describe("index expressions", () => {
  it.effect("text, lists and arrays mean the same as slices and Tensors", () =>
    Effect.gen(function*() {
      const x = iota(5, 4)
      const pairs: ReadonlyArray<readonly [Index, Index]> = [
        ["1:5:2", slice(1, 5, 2)],
        ["::-1", slice(null, null, -1)],
        [":", slice()],
        ["-2:", slice(-2)]
      ]
      for (const [a, b] of pairs) {
        assert.deepStrictEqual(yield* toNested(x.get(a)), yield* toNested(x.get(b)))
      }
      assert.deepStrictEqual(yield* toNested(x.get([[0, 1], [-1, 2]], 0)), [[0, 4], [16, 8]])
      assert.deepStrictEqual(yield* toNested(x.get([true, false, false, false, true], "::3")), [[0, 3], [16, 19]])
      assert.deepStrictEqual(x.get(null, "...", 0).shape, [1, 5])
    }).pipe(Effect.provide(Cpu.layer)))

  it("what does not fit is refused", () => {
    const x = T.zeros([3, 4])
    for (
      const index of [
        [3],
        [-4],
        [0, 0, 0],
        ["...", "..."],
        [1.5],
        ["1:2:0"],
        ["a:b"],
        [[true, false]],
        [T.zeros([2])],
        [{}],
        [[1, [2]]]
      ]
    ) {
      assert.strictEqual(
        refused(() => T.at(x, ...(index as ReadonlyArray<Index>)).get()),
        "IndexError",
        JSON.stringify(index)
      )
    }
    assert.strictEqual(refused(() => x.at("1:").set(T.zeros([3]))), "ShapeError")
    assert.strictEqual(refused(() => T.zeros([0]).get([0])), "IndexError")
  })

  it.effect("a mask that is not known can be written under, not read", () =>
    Effect.gen(function*() {
      const x = iota(2, 3)
      const traced = argument(x.gt(1).aval, traceScope("jit(f)"))
      assert.strictEqual(refused(() => x.get(traced)), "ConcretizationError")
      assert.strictEqual(refused(() => x.get(x.gt(1))), "IndexError")
      assert.deepStrictEqual(x.at(traced).set(0).shape, [2, 3])
      assert.deepStrictEqual(yield* toNested(x.at(x.gt(2)).add(10)), [[0, 1, 2], [13, 14, 15]])
      const known = x.gt(2)
      yield* compute(known)
      assert.deepStrictEqual(yield* toNested(x.get(known)), [3, 4, 5])
    }).pipe(Effect.provide(Cpu.layer)))

  it("static expressions need neither gather nor scatter", () => {
    const x = T.zeros([3, 4])
    const primitive = (y: T.Tensor) => y.source._tag === "Pending" ? y.source.node.primitive : y.source._tag
    assert.strictEqual(primitive(x.get("1:")), "slice")
    assert.strictEqual(primitive(x.at(0).set(1)), "dynamic_update_slice")
    assert.strictEqual(primitive(x.at(":", "1:3").add(1)), "dynamic_update_slice")
    assert.strictEqual(primitive(T.lax.squeeze(x.get(T.lift(1).astype("int32"), null), [0])), "squeeze")
    assert.strictEqual(x.get(), x)
  })
})

describe("lookups agree with JAX", () => {
  const { slice: slices, take } = golden.cases("ops_shape.json")
  const axisOf = (c: golden.Case) => c.params.axis as number | null | undefined
  const options = (c: golden.Case) => ({
    ...(typeof c.params.mode === "string" ? { mode: c.params.mode as T.IndexMode } : {}),
    ...(c.params.fill_value === undefined ? {} : { fillValue: Number(golden.input(c.params.fill_value)) })
  })
  const args = (c: golden.Case) => c.args.map((a) => golden.input(a)) as ReadonlyArray<T.Tensor>
  const number = (x: golden.Argument | undefined): number => Number(golden.input(x ?? 0))
  const calls: Readonly<Record<string, (c: golden.Case) => T.Tensor>> = {
    "jnp.take": (c) => T.take(args(c)[0], args(c)[1], number0(axisOf(c)), options(c)),
    "jnp.take_along_axis": (c) => T.takeAlongAxis(args(c)[0], args(c)[1], number0(axisOf(c)) ?? null, options(c)),
    "lax.dynamic_slice_in_dim": (c) =>
      T.dynamicSliceInDim(args(c)[0], args(c)[1], number(c.args[2]), number(c.params.axis)),
    "lax.dynamic_index_in_dim": (c) =>
      T.dynamicIndexInDim(args(c)[0], args(c)[1], number(c.params.axis), {
        keepdims: golden.input(c.params.keepdims) === true
      }),
    "lax.dynamic_update_index_in_dim": (c) =>
      T.dynamicUpdateIndexInDim(args(c)[0], args(c)[1], args(c)[2], number(c.params.axis))
  }
  const number0 = (x: golden.Argument | undefined): number | null | undefined =>
    x === undefined || x === null ? x : Number(golden.input(x))

  it.effect("take, takeAlongAxis, dynamic slices", () =>
    Effect.gen(function*() {
      for (const c of [...take, ...slices]) {
        const f = calls[c.op]
        if (f === undefined || c.error !== undefined) continue
        const out = f(c)
        assert.deepStrictEqual([out.dtype, out.shape], [c.out.dtype, c.out.shape], c.name)
        assertClose(yield* toNested(out), golden.numbers(c.out), { rtol: 0, atol: 0 }, c.name)
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("putAlongAxis is undone by takeAlongAxis", () =>
    Effect.gen(function*() {
      const indices = T.array([[2, 0], [1, 3], [0, 1]], "int32")
      const values = T.array([[1, 2], [3, 4], [5, 6]], "int32")
      const put = T.putAlongAxis(T.zeros([3, 4], "int32"), indices, values, 1)
      assert.deepStrictEqual(yield* toNested(put), [[2, 0, 1, 0], [0, 3, 0, 4], [5, 6, 0, 0]])
      assert.deepStrictEqual(yield* toNested(T.takeAlongAxis(put, indices, 1)), [[1, 2], [3, 4], [5, 6]])
    }).pipe(Effect.provide(Cpu.layer)))
})
