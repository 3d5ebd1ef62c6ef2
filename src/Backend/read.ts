/**
 * Reading arrays back: the Effects that compute pending arrays and give their elements as JavaScript values.
 *
 * Arrays are lazy, so this is where outside a transform anything is computed: the pending graph becomes a Program, the
 * Backend compiles it (equal graphs share one Executable) and runs it, and the arrays keep the result.
 */
import * as Effect from "effect/Effect"
import { build, type Closed } from "../Program/build.ts"
import { attempt } from "../Tensor/attempt.ts"
import type { DType, TypedArray } from "../Tensor/DType.ts"
import * as DTypes from "../Tensor/DType.ts"
import { ConcretizationError, ShapeError, type TensorError } from "../Tensor/errors.ts"
import * as float16 from "../Tensor/float16.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import * as Storage from "../Tensor/Storage.ts"
import * as Tensor from "../Tensor/Tensor.ts"
import { Backend, type BackendError } from "./Backend.ts"

/** A scalar as host storage has it: 16-bit floats are raw bits. */
const scalar = (value: number, dtype: DType): TypedArray => {
  const data = DTypes.allocate(dtype, 1)
  data[0] = float16.encode(value, dtype)
  return data
}

/** @internal The storage of an array that is computed, or a constant. */
export const storageOf = (x: Tensor.Tensor): Storage.Storage => {
  if (x.source._tag === "Literal") return { _tag: "Host", data: scalar(x.source.value, x.dtype) }
  if (x.source._tag !== "Concrete") throw new Error("a captured array has no elements")
  return x.source.storage
}

/** The nodes that pending arrays need, down to those that ran before; and the arrays of these that are needed again. */
const needed = (outputs: ReadonlyArray<Tensor.Tensor>) => {
  const requested = new Set(outputs)
  const nodes = new Set<Tensor.Node>()
  const again = new Set<Tensor.Tensor>()
  const stack = [...outputs]
  for (let x = stack.pop(); x !== undefined; x = stack.pop()) {
    if (x.source._tag !== "Pending") continue
    const { node } = x.source
    // A constant, or one array spread over another shape, is better made again: its elements are worth less than their
    // memory.
    const cheap = node.primitive === "broadcast_in_dim" || node.inputs.every((input) => input.source._tag === "Literal")
    if (node.ran && !requested.has(x) && !cheap) {
      again.add(x)
    } else if (!nodes.has(node)) {
      nodes.add(node)
      stack.push(...node.inputs)
    }
  }
  return { nodes, again }
}

/**
 * Computes pending arrays, all in one Program, and keeps their elements in them. Arrays that are computed already are
 * left alone. What they are made of is not kept at first; but what a later run needs once more is kept then, so that a
 * loop that reads something of each of its arrays does not begin at the start every time.
 *
 * Fails with `ConcretizationError` inside a trace, and with what the Backend fails with.
 *
 * @category reading
 * @since 0.1.0
 */
export const compute = Effect.fnUntraced(function*(
  ...xs: ReadonlyArray<Tensor.Tensor>
): Effect.fn.Return<void, TensorError | BackendError, Backend> {
  const pending = [...new Set(xs)].filter((x) => x.source._tag === "Pending" || x.source._tag === "Argument")
  if (pending.length === 0) return
  const backend = yield* Backend
  const { again, nodes } = needed(pending)
  const outputs = [...pending, ...again]
  const closed = yield* attempt(() => build({ outputs, arguments: [] }))
  const executable = yield* backend.compile(closed.program)
  const storages = yield* executable.run(closed.captures.map(storageOf))
  for (const node of nodes) node.ran = true
  outputs.forEach((x, i) => Tensor.settle(x, storages[i]))
})

/** The elements of a storage: at hand, or downloaded. */
const elementsOf = (
  storage: Storage.Storage,
  aval: ShapedArray.ShapedArray
): Effect.Effect<TypedArray, BackendError, Backend> => {
  const data = Storage.elements(storage)
  if (data !== undefined) return Effect.succeed(data)
  if (storage._tag === "Host") return Effect.succeed(storage.data)
  return Effect.flatMap(Backend, (backend) => backend.download(storage, aval))
}

/** @internal The elements as host storage, computed and downloaded if need be. */
export const hostData = Effect.fnUntraced(function*(
  x: Tensor.Tensor
): Effect.fn.Return<TypedArray, TensorError | BackendError, Backend> {
  yield* compute(x)
  const source = x.source
  if (source._tag === "Literal") return scalar(source.value, x.dtype)
  if (source._tag !== "Concrete") {
    return yield* new ConcretizationError({ transform: "a trace", array: ShapedArray.format(x.aval) })
  }
  return yield* elementsOf(source.storage, x.aval)
})

/** 16-bit floats as the numbers that they are; other dtypes as they are stored. */
const decode = (data: TypedArray, dtype: DType): TypedArray =>
  dtype === "float16"
    ? float16.decodeFloat16Array(data)
    : dtype === "bfloat16"
    ? float16.decodeBfloat16Array(data)
    : data

/**
 * The elements, row-major. float16 and bfloat16 are decoded to a Float32Array; with `raw` they are a Uint16Array of
 * their bits. bool is a Uint8Array of 0 and 1. The array is the Tensor's own memory where that is possible: copy it
 * before you change it.
 *
 * @category reading
 * @since 0.1.0
 */
export const toTypedArray = (
  x: Tensor.Tensor,
  options: { readonly raw?: boolean } = {}
): Effect.Effect<TypedArray, TensorError | BackendError, Backend> =>
  Effect.map(hostData(x), (data) => options.raw === true ? data : decode(data, x.dtype))

/** Numbers or booleans in as many nested arrays as there are axes. */
export type Nested = number | boolean | ReadonlyArray<Nested>

/**
 * The elements as nested arrays of numbers (bool: booleans), one level an axis; a scalar is a bare value.
 *
 * ```ts import.meta.vitest
 * import * as Effect from "effect/Effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const x = nnx.Tensor.array([[1, 2], [3, 4]])
 * const read = nnx.Tensor.toNested(x.matmul(x)).pipe(Effect.provide(Cpu.layer))
 * console.log(Effect.runSync(read)) // => [ [ 7, 10 ], [ 15, 22 ] ]
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const toNested = (x: Tensor.Tensor): Effect.Effect<Nested, TensorError | BackendError, Backend> =>
  Effect.map(toTypedArray(x), (data) => {
    const value = (i: number): Nested => x.dtype === "bool" ? data[i] !== 0 : data[i]
    const level = (axis: number, start: number, step: number): Nested => {
      if (axis === x.ndim) return value(start)
      const n = x.shape[axis]
      const inner = n === 0 ? 0 : step / n
      return Array.from({ length: n }, (_, i) => level(axis + 1, start + i * inner, inner))
    }
    return level(0, 0, data.length)
  })

/**
 * The one element of an array of size 1, as a number (bool: 0 or 1). Fails with `ShapeError` for any other size.
 *
 * @category reading
 * @since 0.1.0
 */
export const item = Effect.fnUntraced(function*(
  x: Tensor.Tensor
): Effect.fn.Return<number, TensorError | BackendError, Backend> {
  if (x.size !== 1) {
    return yield* new ShapeError({
      operation: "item",
      expected: "an array of one element",
      found: ShapedArray.format(x.aval),
      hint: "use toNested or toTypedArray for more"
    })
  }
  return (yield* toTypedArray(x))[0]
})

/**
 * @internal Runs a closed Program and gives its outputs as host data: what a transform outside of jit does with
 * callbacks and checks.
 */
export const runClosed = Effect.fnUntraced(function*(
  closed: Closed
): Effect.fn.Return<ReadonlyArray<TypedArray>, TensorError | BackendError, Backend> {
  const backend = yield* Backend
  yield* compute(...closed.captures)
  const executable = yield* backend.compile(closed.program)
  const storages = yield* executable.run(closed.captures.map(storageOf))
  const out: Array<TypedArray> = []
  for (let i = 0; i < storages.length; i++) {
    out.push(yield* elementsOf(storages[i], closed.program.outputs[i].aval))
  }
  return out
})
