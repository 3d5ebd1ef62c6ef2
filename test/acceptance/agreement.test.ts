// One function, run in every way: as it stands, in jit, in vmap, in a scan. All ways agree to the bit, on odd sizes and
// all dtypes; but a backend that fuses adds up arrays of different shapes in different orders, several sums side by side,
// so floats that it adds up or multiplies are within a few ulp of what they would be were all terms positive.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import type { Tensor } from "./models.ts"

const T = nnx.Tensor

const sizes = [0, 1, 2, 3, 7, 31, 33, 255, 257]
/** The other dtypes differ in their kernels, not in their shapes. */
const fewSizes = [0, 1, 7, 257]
const floats = ["float32", "float16", "bfloat16"] as const
const integers = ["int32", "uint32", "int8", "uint8"] as const
const numbers = [...floats, ...integers]
const dtypes = [...numbers, "bool"] as const
type DType = typeof dtypes[number]

interface Case {
  readonly f: (x: Tensor) => Tensor
  readonly dtypes: ReadonlyArray<DType>
  /** Does it take arrays of no elements? */
  readonly empty?: false
  /** Where floats are added up or multiplied: the results if all terms had their magnitudes. */
  readonly magnitudes?: (x: Tensor) => Tensor
}

const sums = (x: Tensor) => T.stack([x.sum(), x.prod()])

/** Functions of a vector. */
const cases: Readonly<Record<string, Case>> = {
  "elementwise": { f: (x) => x.mul(3).add(x).sub(1), dtypes: numbers },
  "division and remainder": { f: (x) => x.floorDivide(3).add(x.mod(3)), dtypes: numbers },
  "transcendental": { f: (x) => x.sin().exp().tanh().add(x.sqrt()), dtypes: floats },
  "activations": {
    f: (x) => T.nn.gelu(x).add(T.nn.softmax(x)),
    dtypes: floats,
    magnitudes: (x) => T.nn.gelu(x).abs().add(1)
  },
  "comparison and selection": { f: (x) => T.where(x.gt(x.flip()), x, x.flip()), dtypes },
  "sums": { f: sums, dtypes: numbers, magnitudes: (x) => sums(x.abs()) },
  "extrema": { f: (x) => T.stack([x.max(), x.min()]), dtypes: numbers, empty: false },
  "positions of extrema": { f: (x) => T.stack([x.argmax(), x.argmin()]), dtypes: numbers, empty: false },
  "all and any": { f: (x) => T.stack([x.all(), x.any(), x.logicalNot().any()]), dtypes },
  "running sums": { f: (x) => x.cumsum(), dtypes: numbers },
  "sorting": { f: (x) => x.sort(), dtypes: numbers },
  "order": { f: (x) => x.argsort(), dtypes: numbers },
  "slices with steps": { f: (x) => T.concatenate([x.get("::2"), x.get("::-3"), x.get("1:-1")]), dtypes },
  "gathering": { f: (x) => x.get(x.argsort()), dtypes },
  "scattering": { f: (x) => T.zerosLike(x).at(x.argsort().floorDivide(2)).add(x), dtypes: numbers },
  "outer product": { f: (x) => x.expandDims(1).matmul(x.expandDims(0)).sum(0), dtypes: numbers },
  "inner product": { f: (x) => x.dot(x), dtypes: numbers },
  "conversion": { f: (x) => x.astype("float16").astype("int32").astype("uint8"), dtypes },
  "bits": { f: (x) => x.bitwiseXor(x.flip()).bitwiseAnd(3), dtypes: integers },
  "convolution": {
    f: (x) =>
      T.nn.convGeneralDilated(x.reshape([1, 1, -1]), T.array([[[1, 2, 3]]]).astype(x.dtype), {
        padding: "SAME",
        windowStrides: [2]
      }).ravel(),
    dtypes: floats
  },
  "pooling": {
    f: (x) => nnx.maxPool(x.reshape([1, -1, 1]), [3], { strides: [2], padding: "SAME" }).ravel(),
    dtypes: floats
  },
  "shapes": { f: (x) => T.concatenate([x.reshape([-1, 1]), x.reshape([-1, 1])], 1).T.ravel().roll(1), dtypes }
}

/** Some numbers of a dtype, in no order. */
const vector = (n: number, dtype: DType, seed = 0): Tensor =>
  T.array(Float32Array.from({ length: n }, (_, i) => ((i * 37 + seed * 11) % 41) - (dtype.startsWith("u") ? 0 : 20)))
    .div(dtype.includes("float") ? 4 : 1)
    .astype(dtype)

const epsilons: Readonly<Partial<Record<DType, number>>> = { float32: 2 ** -23, float16: 2 ** -10, bfloat16: 2 ** -7 }

/** Results as they are compared: to the bit, or each within its bound. */
type Check = (x: Tensor, message: string) => Effect.Effect<void, unknown, nnx.Backend>

const bytes = (x: Tensor) => Effect.map(T.toTypedArray(x, { raw: true }), (data) => [x.dtype, x.shape.join(), ...data])

const exactly = Effect.fnUntraced(function*(expected: Tensor) {
  const wanted = yield* bytes(expected)
  const check: Check = (x, message) => Effect.map(bytes(x), (found) => assert.deepStrictEqual(found, wanted, message))
  return check
})

const nearly = Effect.fnUntraced(function*(expected: Tensor, magnitudes: Tensor) {
  const wanted = yield* T.toTypedArray(expected)
  const bounds = yield* T.toTypedArray(magnitudes)
  const epsilon = 4 * (epsilons[expected.dtype as DType] ?? 0)
  const check: Check = (x, message) =>
    Effect.map(T.toTypedArray(x), (found) => {
      assert.deepStrictEqual([x.dtype, x.shape], [expected.dtype, expected.shape], message)
      wanted.forEach((value, i) => {
        const isNear = Object.is(found[i], value) ||
          Math.abs(Number(found[i]) - Number(value)) <= epsilon * Number(bounds[i])
        assert.isTrue(isNear, `${message}: element ${i} is ${found[i]}, not ${value} +- ${epsilon * Number(bounds[i])}`)
      })
    })
  return check
})

const each = Effect.fnUntraced(function*<R>(
  { dtypes: own, empty, f }: Case,
  check: (f: (x: Tensor) => Effect.Effect<Tensor>, n: number, dtype: DType) => Effect.Effect<void, unknown, R>
) {
  for (const dtype of own) {
    for (const n of dtype === "float32" ? sizes : fewSizes) {
      if (n === 0 && empty === false) continue
      yield* Effect.mapError(
        check((x) => Effect.sync(() => f(x)), n, dtype),
        (error) => `${dtype}[${n}]: ${String(error)}`
      )
    }
  }
})

layer(Cpu.layer)("all ways agree", (it) => {
  for (const [name, one] of Object.entries(cases)) {
    it.effect(name, () =>
      each(one, (f, n, dtype) =>
        Effect.gen(function*() {
          const where = `${dtype}[${n}]`
          const xs = [0, 1].map((seed) => vector(n, dtype, seed))
          const { magnitudes } = one
          const fuses = (yield* nnx.Backend).name !== "tfjs-cpu"
          const plain = yield* Effect.forEach(xs, (x) =>
            Effect.flatMap(
              f(x),
              (y) =>
                fuses && magnitudes !== undefined && dtype.includes("float") ? nearly(y, magnitudes(x)) : exactly(y)
            ))
          const jitted = nnx.jit(f)
          const stack = T.stack(xs)
          const mapped = yield* nnx.vmap(f)(stack)
          const columns = yield* nnx.vmap(f, { inAxes: 1, outAxes: -1 })(stack.T)
          const [, ys] = yield* nnx.scan((c: Tensor, x: Tensor) => Effect.map(f(x), (y) => [c, y] as const))(
            T.zeros([]),
            stack
          )
          for (const [i, agrees] of plain.entries()) {
            yield* agrees(yield* jitted(xs[i]), `jit, ${where}`)
            yield* agrees(mapped.get(i), `vmap, ${where}`)
            yield* agrees(columns.get("...", i), `vmap of columns, ${where}`)
            yield* agrees(ys.get(i), `scan, ${where}`)
          }
        })))
  }
})
