// Which dtype, weak or not, comes of which dtypes: JAX's own tables, all pairs.
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import type { DType } from "../../../src/Tensor/DType.ts"
import { isTensorError } from "../../../src/Tensor/errors.ts"
import * as T from "../../../src/Tensor/index.ts"
import type { Tensor, TensorLike } from "../../../src/Tensor/index.ts"
import { literal } from "../../../src/Tensor/Tensor.ts"
import { calls, float } from "./table.ts"

type Entry = string | ReadonlyArray<string>

interface Pairs {
  readonly op: string
  readonly columns: ReadonlyArray<string>
  readonly rows: Readonly<Record<string, ReadonlyArray<Entry>>>
}

interface Single {
  readonly op: string
  readonly columns: ReadonlyArray<string>
  readonly row?: ReadonlyArray<Entry>
  readonly rows?: Pairs["rows"]
}

interface Preferred extends Pairs {
  readonly preferred: DType
}

const { cases }: {
  readonly cases: {
    readonly pairs: ReadonlyArray<Pairs>
    readonly single: ReadonlyArray<Single>
    readonly preferred: ReadonlyArray<Preferred>
  }
} = JSON.parse(fs.readFileSync(new URL("../../golden/ops_promotion.json", import.meta.url), "utf8"))

const operand = (name: string): TensorLike => {
  switch (name) {
    case "py:int":
      return 2
    case "py:float":
      return float(2)
    case "py:bool":
      return true
    case "float32*":
      return literal(2, "float32", true)
    case "int32*":
      return literal(2, "int32", true)
    default:
      return T.ones([2], { dtype: name as DType })
  }
}

const vector = (x: TensorLike): Tensor => T.broadcastTo(T.lift(x), [2])

/** The dtype as the tables write it; a weak bool promotes as a strong one, and is written as one. */
const kind = (x: Tensor): string => `${x.dtype}${x.weakType && x.dtype !== "bool" ? "*" : ""}`

const outcome = (f: () => Tensor | ReadonlyArray<Tensor>): Entry => {
  try {
    const out = f()
    return T.isTensor(out) ? kind(out) : out.map(kind)
  } catch (error) {
    if (!isTensorError(error)) throw error
    return "refused"
  }
}

/** There is no int16 here: what JAX makes of int8 and uint8 together is int32. */
const expected = (entry: Entry): Entry =>
  typeof entry === "string"
    ? (entry.startsWith("!") ? "refused" : entry.replace("bool*", "bool").replace("int16", "int32"))
    : entry

const matmul = (x: TensorLike, y: TensorLike) => T.matmul(vector(x), vector(y))

const pairs: Readonly<Record<string, (x: TensorLike, y: TensorLike) => Tensor>> = {
  where: (x, y) => T.where(T.array([true, false]), x, y),
  concatenate: (x, y) => T.concatenate([T.atleast1d(x), T.atleast1d(y)]),
  stack: (x, y) => T.stack([vector(x), vector(y)]),
  matmul,
  "x+y operator": T.add,
  "x/y operator": T.divide,
  "x**y operator": T.power,
  "x@y operator": matmul
}

const pairOf = (op: string): ((x: TensorLike, y: TensorLike) => Tensor | ReadonlyArray<Tensor>) | undefined => {
  const call = calls[`jnp.${op}`]
  return pairs[op] ?? (call === undefined ? undefined : (x, y) => call([x, y], {}))
}

const singles: Readonly<Record<string, (x: TensorLike) => Tensor | ReadonlyArray<Tensor>>> = {
  "x**2": (x) => T.power(x, 2),
  "jnp.clip(x,0,1)": (x) => T.clip(x, 0, 1),
  "jnp.clip(x,0.,1.)": (x) => T.clip(x, float(0), float(1)),
  // JAX's indices are as weak as the values, by accident.
  "lax.top_k": (x) => {
    const [values, indices] = T.topK(T.atleast1d(x), 1)
    return values.weakType ? [values, literal(0, "int32", true)] : [values, indices]
  },
  "jnp.tril": (x) => T.tril(T.ones([2, 2], { dtype: T.lift(x).dtype })),
  "jnp.divmod(x,2)": (x) => T.divmod(x, 2),
  "jnp.where(true,x,0)": (x) => T.where(true, x, 0),
  "jnp.where(true,x,0.)": (x) => T.where(true, x, float(0)),
  "jnp.broadcast_to": (x) => T.broadcastTo(x, [2]),
  "jnp.reshape": (x) => T.reshape(T.lift(x), [-1]),
  "jnp.linspace": (x) => T.linspace(0, T.max(T.lift(x)), 3)
}

/** Functions that read JavaScript values, and functions of lax, which promote here. */
const different: ReadonlySet<string> = new Set([
  "jnp.full",
  "jnp.array",
  "jnp.asarray",
  "lax.rsqrt",
  "lax.erf",
  "lax.stop_gradient"
])

const singleOf = (op: string): ((x: TensorLike) => Tensor | ReadonlyArray<Tensor>) | undefined => {
  const call = different.has(op) ? undefined : calls[op]
  return singles[op] ?? (call === undefined ? undefined : (x) => call([T.lift(x)], {}))
}

/** Left out, with the reason. */
const exceptional = (op: string, left: string, right: string, entry: Entry): boolean =>
  // Python scalars stay Python scalars.
  entry === "" || /^(int|float|TypedInt|TypedFloat)$/.test(String(entry)) ||
  // A JavaScript boolean is a strong bool here, and a weak one there: it shows only where both are scalars.
  (/power|\*\*/.test(op) && right === "py:bool") ||
  // JAX refuses products of narrow integers with weak ones, which it does not mean to.
  (/matmul|@/.test(op) && entry === "!TypeError" && /8/.test(left + right) && /py:int|int32\*/.test(left + right))

describe("promotion against JAX", () => {
  for (const { columns, op, rows } of cases.pairs) {
    const f = pairOf(op)
    if (f === undefined) continue
    it(`${op}: all pairs`, () => {
      const found: Array<string> = []
      for (const [left, row] of Object.entries(rows)) {
        row.forEach((entry, i) => {
          if (exceptional(op, left, columns[i], entry)) return
          const out = outcome(() => f(operand(left), operand(columns[i])))
          if (String(out) !== String(expected(entry))) found.push(`${left} ${op} ${columns[i]}: ${out}, not ${entry}`)
        })
      }
      assert.deepStrictEqual(found, [])
    })
  }

  for (const { columns, op, row } of cases.single) {
    const f = singleOf(op)
    if (f === undefined || row === undefined) continue
    it(`${op}: all dtypes`, () => {
      const found = row.flatMap((entry, i) => {
        if (exceptional(op, columns[i], "", entry)) return []
        const out = outcome(() => f(operand(columns[i])))
        return String(out) === String(expected(entry)) ? [] : [`${columns[i]}: ${out}, not ${entry}`]
      })
      assert.deepStrictEqual(found, [])
    })
  }

  for (const { columns, op, rows } of cases.single) {
    if (rows === undefined) continue
    it(`${op} with dtype`, () => {
      const found: Array<string> = []
      for (const [from, row] of Object.entries(rows)) {
        row.forEach((entry, i) => {
          if (op === "var" && columns[i] === "bool") return
          const out = outcome(() => calls[`jnp.${op}`]([operand(from)], { dtype: columns[i] }))
          // A variance asked for in integers is a float32, in JAX a weak one.
          if (String(out) !== String(expected(entry)).replace(op === "var" ? "*" : "", "")) {
            found.push(`${from} to ${columns[i]}: ${out}, not ${entry}`)
          }
        })
      }
      assert.deepStrictEqual(found, [])
    })
  }

  for (const { columns, op, preferred, rows } of cases.preferred.filter((c) => c.op === "jnp.matmul")) {
    it(`${op} preferring ${preferred}`, () => {
      const found: Array<string> = []
      for (const [left, row] of Object.entries(rows)) {
        row.forEach((entry, i) => {
          if (new Set([left, columns[i], "int8", "uint8"]).size === 2) return
          const [x, y] = [vector(operand(left)), vector(operand(columns[i]))]
          const out = outcome(() => T.matmul(x, y, { preferredElementType: preferred }))
          if (String(out) !== String(expected(entry))) found.push(`${left} @ ${columns[i]}: ${out}, not ${entry}`)
        })
      }
      assert.deepStrictEqual(found, [])
    })
  }
})
