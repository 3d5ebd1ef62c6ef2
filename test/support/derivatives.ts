// Checks of derivatives and batching that hold for every function of arrays. A function is a graph: it is traced to a
// Program, the interpreters transform the Program, and the reference evaluator computes both sides in doubles.
//
// The *pushforward* of f takes primals and tangents to output tangents, its *pullback* takes primals and cotangents to
// input cotangents. Both are functions of arrays again, and checking their derivatives checks f to second order.
import { assert } from "@effect/vitest"
import { build } from "../../src/Program/build.ts"
import { interpreters } from "../../src/Program/interpreters.ts"
import { linearize, pullback } from "../../src/Program/linearize.ts"
import type { Program } from "../../src/Program/Program.ts"
import * as DType from "../../src/Tensor/DType.ts"
import { broadcastTo } from "../../src/Tensor/lax/index.ts"
import * as Shape from "../../src/Tensor/Shape.ts"
import { argument, literal, type Tensor, traceScope } from "../../src/Tensor/Tensor.ts"
import { fromValues, type Random, tensor } from "./arbitrary.ts"
import { assertClose, type Tolerance } from "./close.ts"
import { evaluate, type Value } from "./reference/index.ts"

/** A function of arrays. */
export type Fn = (xs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>

const ignore = (): void => {}

const isFloat = (x: { readonly dtype: DType.DType }): boolean => DType.isFloat(x.dtype)

/** A function as a Program, and the arrays that it captured. */
const trace = (f: Fn, xs: ReadonlyArray<Tensor>): { program: Program; captures: ReadonlyArray<Tensor> } => {
  const scope = traceScope("test")
  const args = xs.map((x) => argument(x.aval, scope))
  const closed = build({ outputs: f(args), arguments: args, scope })
  scope.finished = true
  return closed
}

const orZero = (x: Tensor | null, like: Tensor): Tensor =>
  x ?? broadcastTo(literal(0, like.dtype, like.weakType), like.shape)

/** (inputs…, tangents of the float inputs…) to tangents of the float outputs. */
export const pushforward = (f: Fn, count: number): Fn => (all) => {
  const xs = all.slice(0, count)
  const { captures, program } = trace(f, xs)
  const tangents = all.slice(count).values()
  const { outputs, tangents: dys } = interpreters.jvp(
    program,
    [...captures, ...xs],
    [...captures.map(() => null), ...xs.map((x) => isFloat(x) ? tangents.next().value ?? null : null)],
    "forward",
    ignore
  )
  return outputs.flatMap((y, i) => isFloat(y) ? [orZero(dys[i], y)] : [])
}

/** (inputs…, cotangents of the float outputs…) to cotangents of the float inputs. */
export const pullbackOf = (f: Fn, count: number): Fn => (all) => {
  const xs = all.slice(0, count)
  const { captures, program } = trace(f, xs)
  const active = xs.flatMap((x, i) => isFloat(x) ? [i + captures.length] : [])
  const linearized = linearize(interpreters, program, [...captures, ...xs], active, ignore)
  const given = all.slice(count).values()
  const cotangents = linearized.outputs.map((y) => isFloat(y) ? given.next().value ?? null : null)
  const results = pullback(interpreters, linearized, cotangents)
  return active.map((i, k) => orZero(results[k] ?? null, [...captures, ...xs][i]))
}

const values = (xs: ReadonlyArray<Tensor>): ReadonlyArray<Value> => evaluate(xs)

const dot = (a: ReadonlyArray<Value>, b: ReadonlyArray<Value>): number =>
  a.reduce((sum, x, i) => x.data.reduce((s, v, k) => s + v * b[i].data[k], sum), 0)

const likeFloats = (rng: Random, xs: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> =>
  xs.filter(isFloat).map((x) => tensor(rng, x.shape, x.dtype))

const describe = (xs: ReadonlyArray<Tensor>): string => xs.map((x) => `${x.dtype}${Shape.format(x.shape)}`).join(", ")

/** How derivatives are checked. Inputs should be float64, since differences are taken. */
export interface Check extends Tolerance {
  /** 2 checks the derivatives of the derivatives, too. */
  readonly order?: number
  /** Skip the reverse mode. */
  readonly forwardOnly?: boolean
}

/**
 * Compares forward derivatives with central differences, and reverse derivatives with the forward ones, by
 * ⟨cotangent, J tangent⟩ = ⟨Jᵀ cotangent, tangent⟩. Each float input is moved alone, and all together.
 */
export const checkDerivatives = (
  rng: Random,
  f: Fn,
  xs: ReadonlyArray<Tensor>,
  options: Check = {},
  what = "derivative"
): void => {
  const { atol = 1e-7, forwardOnly = false, order = 1, rtol = 1e-6 } = options
  const floats = xs.filter(isFloat)
  const outputs = f(xs)
  const ts = likeFloats(rng, xs)
  const forward = pushforward(f, xs.length)
  const h = 2 ** -16
  const moved = (which: number | undefined, step: number) => {
    let k = 0
    return values(f(xs.map((x) => {
      if (!isFloat(x)) return x
      const mine = k++
      if (which !== undefined && which !== mine) return x
      const t = evaluate([ts[mine]])[0].data
      return fromValues(evaluate([x])[0].data.map((v, i) => v + step * t[i]), x.shape, x.dtype)
    })))
  }
  const only = floats.length > 1 ? [...Shape.range(floats.length), undefined] : [undefined]
  for (const which of only) {
    const tangents = ts.map((t, k) => which === undefined || which === k ? t : orZero(null, t))
    const up = moved(which, h)
    const down = moved(which, -h)
    const expected = outputs.flatMap((y, i) =>
      isFloat(y) ? [up[i].data.map((v, k) => (v - down[i].data[k]) / (2 * h))] : []
    )
    const actual = values(forward([...xs, ...tangents])).map((v) => v.data)
    assertClose(actual, expected, { rtol, atol }, `${what} of (${describe(xs)}), moving input ${which ?? "all"}`)
  }
  if (!forwardOnly) {
    const backward = pullbackOf(f, xs.length)
    const cts = likeFloats(rng, outputs)
    const back = backward([...xs, ...cts])
    back.forEach((x, k) => assert.deepStrictEqual(x.shape, floats[k].shape, `${what}: shape of a cotangent`))
    const pulled = values(back)
    for (const which of only) {
      const tangents = ts.map((t, k) => which === undefined || which === k ? t : orZero(null, t))
      const pushed = dot(values(cts), values(forward([...xs, ...tangents])))
      assertClose(
        dot(pulled, values(tangents)),
        pushed,
        { rtol, atol },
        `${what}: transpose for input ${which ?? "all"}`
      )
    }
    if (order > 1) {
      checkDerivatives(rng, backward, [...xs, ...cts], { ...options, order: order - 1 }, `pullback of ${what}`)
    }
  }
  if (order > 1) checkDerivatives(rng, forward, [...xs, ...ts], { ...options, order: order - 1 }, `jvp of ${what}`)
}

/** Arrays of one shape side by side along a new axis. */
export const stack = (xs: ReadonlyArray<Tensor>, at: number): Tensor => {
  const [first] = xs
  const each = values(xs)
  const outer = Shape.size(first.shape.slice(0, at))
  const inner = Shape.size(first.shape.slice(at))
  const data = Array.from({ length: outer * xs.length * inner }, (_, i) => {
    const o = Math.floor(i / (xs.length * inner))
    return each[Math.floor(i / inner) % xs.length].data[o * inner + i % inner]
  })
  return fromValues(data, first.shape.toSpliced(at, 0, xs.length), first.dtype)
}

/** Part `i` of a value along an axis. */
const part = (x: Value, at: number, i: number): Value => {
  const n = x.shape[at]
  const inner = Shape.size(x.shape.slice(at + 1))
  return { shape: x.shape.toSpliced(at, 1), data: x.data.filter((_, k) => Math.floor(k / inner) % n === i) }
}

/** Maps a function along `axes` of its inputs with the batching interpreter. */
export const vmap =
  (f: Fn, unmapped: ReadonlyArray<Tensor>, axes: ReadonlyArray<number | null>, size: number) =>
  (xs: ReadonlyArray<Tensor>) => {
    const { captures, program } = trace(f, unmapped)
    return interpreters.batch(
      program,
      [...captures, ...xs],
      [...captures.map(() => null), ...axes],
      { size, name: undefined },
      ignore
    )
  }

/**
 * Compares batching with a loop: for every choice of mapped inputs, at random axes, and for several sizes of the mapped
 * axis. `make` makes fresh inputs, all of the same shapes.
 */
export const checkBatching = (
  rng: Random,
  f: Fn,
  make: () => ReadonlyArray<Tensor>,
  options: Tolerance & { readonly sizes?: ReadonlyArray<number> } = {},
  what = "batching"
): void => {
  const { atol = 1e-9, rtol = 1e-9, sizes = [3, 1, 0] } = options
  const n = make().length
  for (const size of sizes) {
    const examples = Shape.range(Math.max(1, size)).map(make)
    for (let choice = 1; choice < 2 ** n; choice++) {
      const axes = examples[0].map((x, i) => choice & (2 ** i) ? rng.integer(0, x.ndim + 1) : null)
      const inputs = examples[0].map((x, i) => {
        const at = axes[i]
        if (at === null) return x
        return size === 0 ? fromValues([], x.shape.toSpliced(at, 0, 0), x.dtype) : stack(examples.map((e) => e[i]), at)
      })
      const label = `${what} of (${describe(inputs)}) along [${axes.join(",")}]`
      const batched = vmap(f, examples[0], axes, size)(inputs)
      const results = values(batched.outputs)
      const loop = examples.map((e) => values(f(e.map((x, i) => axes[i] === null ? examples[0][i] : x))))
      batched.axes.forEach((at, k) => {
        const expected = at === null ? loop[0][k].shape : loop[0][k].shape.toSpliced(at, 0, size)
        assert.deepStrictEqual(batched.outputs[k].shape, expected, `${label}: shape`)
        assert.deepStrictEqual(results[k].shape, expected, `${label}: shape computed`)
        for (let i = 0; i < size; i++) {
          const actual = at === null ? results[k] : part(results[k], at, i)
          assertClose(actual.data, loop[i][k].data, { rtol, atol }, `${label}, element ${i}`)
        }
      })
    }
  }
}
