/**
 * Einstein summation: `einsum("bij,bjk->bik", x, y)`.
 *
 * Every axis of every operand has a *label*. Labels that are not in the output are summed over; labels in several
 * operands are kept in step. Operands are reduced to one by contracting two at a time: the pair whose product shrinks
 * the operands most comes first (the greedy rule of opt_einsum). A contraction is one `dot_general`, or a product where
 * nothing is summed.
 */
import * as DType from "../DType.ts"
import { ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { isTensor, lift, type Tensor, type TensorLike } from "../Tensor.ts"
import { filled, promote, toBool } from "./promotion.ts"

/** Options of `einsum`. */
export interface EinsumOptions {
  /** Accumulate in, and give, this element type. */
  readonly preferredElementType?: DType.DType | undefined
}

/** An array with a label for each axis. A label is a letter, or `.n`: the n-th axis from the end of an ellipsis. */
interface Labelled {
  readonly array: Tensor
  readonly labels: ReadonlyArray<string>
}

interface Equation {
  readonly inputs: ReadonlyArray<ReadonlyArray<string>>
  readonly output: ReadonlyArray<string>
}

const fail = (expected: string, found: string, hint: string): never => {
  throw new ShapeError({ operation: "einsum", expected, found, hint })
}

const distinct = (labels: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(labels)]

/** The labels of one term; an ellipsis stands for `hidden` axes. */
const readTerm = (term: string, hidden: number): ReadonlyArray<string> => {
  const parts = term.split("...")
  if (parts.length > 2 || !parts.every((part) => /^[A-Za-z]*$/.test(part))) {
    fail("terms of letters, with at most one \"...\" each", JSON.stringify(term), "write \"ij,jk->ik\"")
  }
  const dots = Shape.range(hidden).map((i) => `.${hidden - i}`)
  return parts.length === 1 ? [...term] : [...parts[0], ...dots, ...parts[1]]
}

/**
 * All labels of an equation; without `->`, the output is the ellipsis, then every letter that occurs once, in order.
 */
const readEquation = (subscripts: string, shapes: ReadonlyArray<Shape.Shape>): Equation => {
  const [left, right, ...more] = subscripts.replaceAll(/\s/g, "").split("->")
  const terms = left.split(",")
  if (more.length > 0 || terms.length !== shapes.length) {
    fail(`one term for each of ${shapes.length} operands`, JSON.stringify(subscripts), "separate terms by commas")
  }
  const hidden = terms.map((term, i) => term.includes("...") ? shapes[i].length - (term.length - 3) : 0)
  const inputs = terms.map((term, i) => {
    const labels = hidden[i] < 0 ? [] : readTerm(term, hidden[i])
    if (labels.length !== shapes[i].length) {
      fail(
        `${shapes[i].length} labels for an operand ${Shape.format(shapes[i])}`,
        JSON.stringify(term),
        "use \"...\" for further axes"
      )
    }
    return labels
  })
  const widest = Math.max(0, ...hidden)
  if (right === undefined) {
    const letters = left.replaceAll(/[,.]/g, "")
    const once = [...letters].filter((c) => letters.indexOf(c) === letters.lastIndexOf(c)).toSorted()
    return { inputs, output: [...readTerm("...", widest), ...once] }
  }
  const output = readTerm(right, widest)
  const known = new Set(inputs.flat())
  if (distinct(output).length !== output.length || output.some((label) => !known.has(label))) {
    fail(
      "an output of distinct labels that occur in the operands",
      JSON.stringify(right),
      "sum or repeat nothing on the right"
    )
  }
  return { inputs, output }
}

/** Sizes must agree, or be 1. */
const checkSizes = (operands: ReadonlyArray<Labelled>): void => {
  const sizes = new Map<string, number>()
  for (const { array, labels } of operands) {
    labels.forEach((label, i) => {
      const known = sizes.get(label) ?? 1
      const size = array.shape[i]
      if (known !== 1 && size !== 1 && known !== size) {
        fail(
          `one size for label ${label}`,
          operands.map((x) => `${x.labels.join("")} ${ShapedArray.format(x.array.aval)}`).join(" and "),
          `it is ${known} and ${size}`
        )
      }
      if (size !== 1) sizes.set(label, size)
    })
  }
}

const sumOver = (x: Labelled, drop: ReadonlyArray<string>, preferred: DType.DType | null): Labelled => {
  const axes = drop.map((label) => x.labels.indexOf(label))
  if (axes.length === 0) return x
  const array = preferred === null
    ? x.array
    : lax.convertElementType(x.array, DType.promoteTypes(x.array.dtype, preferred))
  return { array: lax.reduceSum(array, axes), labels: x.labels.filter((label) => !drop.includes(label)) }
}

/** Keeps the diagonal of axes with the same label, as one axis: zeros elsewhere, then a sum over the others. */
const diagonals = (x: Labelled): Labelled => {
  const repeated = distinct(x.labels).find((label) => x.labels.indexOf(label) !== x.labels.lastIndexOf(label))
  if (repeated === undefined) return x
  const [first, second] = x.labels.flatMap((label, i) => label === repeated ? [i] : [])
  const { array } = x
  if (array.shape[first] !== array.shape[second]) {
    fail(`one size for both axes ${repeated}`, ShapedArray.format(array.aval), "a diagonal is that of a square")
  }
  const position = (axis: number) => lax.iota("int32", array.shape, axis)
  const kept = lax.selectN(lax.eq(position(first), position(second)), filled(array, 0), array)
  return diagonals({ array: lax.reduceSum(kept, first), labels: x.labels.filter((_, i) => i !== first) })
}

/** The operand without axes of size 1 that are longer in the other. */
const withoutStretched = (x: Labelled, other: Labelled): Labelled => {
  const stretched = x.labels.filter((label, i) => {
    const j = other.labels.indexOf(label)
    return x.array.shape[i] === 1 && j >= 0 && other.array.shape[j] !== 1
  })
  return {
    array: lax.squeeze(x.array, stretched.map((label) => x.labels.indexOf(label))),
    labels: x.labels.filter((label) => !stretched.includes(label))
  }
}

/** The product of two operands that share all summed labels of both. */
const product = (x: Labelled, y: Labelled): Labelled => {
  const labels = distinct([...x.labels, ...y.labels])
  const size = (label: string) => {
    const i = x.labels.indexOf(label)
    return i >= 0 ? x.array.shape[i] : y.array.shape[y.labels.indexOf(label)]
  }
  const shape = labels.map(size)
  const place = (z: Labelled) => {
    const order = z.labels.map((_, i) => i).toSorted((i, j) =>
      labels.indexOf(z.labels[i]) - labels.indexOf(z.labels[j])
    )
    return lax.broadcastInDim(lax.transpose(z.array, order), shape, order.map((i) => labels.indexOf(z.labels[i])))
  }
  return { array: lax.mul(place(x), place(y)), labels }
}

const convert = (x: Tensor, dtype: DType.DType): Tensor => x.dtype === dtype ? x : lax.convertElementType(x, dtype)

/** Two operands as one: labels not in `keep` are summed over. */
const contract = (
  left: Labelled,
  right: Labelled,
  keep: ReadonlyArray<string>,
  preferred: DType.DType | null
): Labelled => {
  const reduced = (x: Labelled, other: Labelled) =>
    sumOver(x, x.labels.filter((l) => !keep.includes(l) && !other.labels.includes(l)), preferred)
  const narrow = withoutStretched(left, right)
  const narrowRight = withoutStretched(right, narrow)
  const x = reduced(narrow, narrowRight)
  const y = reduced(narrowRight, narrow)
  const shared = x.labels.filter((label) => y.labels.includes(label))
  const batch = keep.filter((label) => shared.includes(label))
  const summed = shared.filter((label) => !keep.includes(label))
  const cast = (z: Labelled, dtype: DType.DType) => ({ ...z, array: convert(z.array, dtype) })
  const common = DType.promoteTypes(x.array.dtype, y.array.dtype)
  if (summed.length === 0) return product(cast(x, preferred ?? common), cast(y, preferred ?? common))
  const names = (a: Labelled, b: Labelled) => [
    ...batch,
    ...[...a.labels, ...b.labels].filter((label) => !shared.includes(label))
  ]
  const dot = (a: Labelled, b: Labelled): Labelled => {
    const axes = (z: Labelled, at: ReadonlyArray<string>) => at.map((label) => z.labels.indexOf(label))
    const dimensions = {
      contracting: [axes(a, summed), axes(b, summed)] as const,
      batch: [axes(a, batch), axes(b, batch)] as const
    }
    return {
      array: lax.dotGeneral(convert(a.array, common), convert(b.array, common), dimensions, preferred),
      labels: names(a, b)
    }
  }
  // The other way round if that spares a transposition.
  return names(y, x).join() === keep.filter((label) => names(y, x).includes(label)).join() ? dot(y, x) : dot(x, y)
}

const sizeOf = (x: Labelled): number => x.array.size

/** The pair to contract next: the one after which least is left; among equals, the cheapest. */
const nextPair = (operands: ReadonlyArray<Labelled>, output: ReadonlyArray<string>): readonly [number, number] => {
  const sizes = new Map(operands.flatMap((x) => x.labels.map((label, i) => [label, x.array.shape[i]] as const)))
  const volume = (labels: ReadonlyArray<string>) => labels.reduce((n, label) => n * (sizes.get(label) ?? 1), 1)
  const pairs = operands.flatMap((x, i) =>
    operands.slice(i + 1).map((y, k) => {
      const others = operands.filter((z) => z !== x && z !== y).flatMap((z) => z.labels)
      const needed = new Set([...output, ...others])
      const labels = distinct([...x.labels, ...y.labels])
      const left = labels.filter((label) => needed.has(label))
      return { pair: [i, i + 1 + k] as const, growth: volume(left) - sizeOf(x) - sizeOf(y), work: volume(labels) }
    })
  )
  return pairs.reduce((a, b) => b.growth < a.growth || (b.growth === a.growth && b.work < a.work) ? b : a).pair
}

const contractAll = (
  operands: ReadonlyArray<Labelled>,
  output: ReadonlyArray<string>,
  preferred: DType.DType | null
): Labelled => {
  if (operands.length === 1) {
    return sumOver(operands[0], operands[0].labels.filter((label) => !output.includes(label)), preferred)
  }
  const [i, j] = operands.length === 2 ? [0, 1] : nextPair(operands, output)
  const rest = operands.filter((_, k) => k !== i && k !== j)
  const needed = distinct([...output, ...rest.flatMap((x) => x.labels)])
  const both = contract(operands[i], operands[j], needed, preferred)
  return rest.length === 0 ? both : contractAll([...rest, both], output, preferred)
}

const isOptions = (x: TensorLike | EinsumOptions | undefined): x is EinsumOptions =>
  typeof x === "object" && !isTensor(x)

const summation = (subscripts: string, operands: ReadonlyArray<Tensor>, preferred: DType.DType | null): Tensor => {
  const { inputs, output } = readEquation(subscripts, operands.map((x) => x.shape))
  const labelled = operands.map((array, i) => diagonals({ array, labels: inputs[i] }))
  checkSizes(labelled)
  const { array, labels } = contractAll(labelled, output, preferred)
  return lax.transpose(array, output.map((label) => labels.indexOf(label)))
}

/**
 * Sums of products over labelled axes: `jnp.einsum`. Terms are separated by commas, one for each operand; a label is a
 * letter, `...` stands for the axes not named, which broadcast. A label twice in one term takes a diagonal. Labels that
 * are not right of `->` are summed over; without `->`, those that occur more than once.
 *
 * Operands are promoted to one dtype, which is the result's; `preferredElementType` accumulates in and gives another
 * one.
 *
 * Fails with a `ShapeError` when the equation does not fit the operands.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const [queries, keys] = [Tensor.zeros([2, 3, 8]), Tensor.zeros([2, 5, 8])]
 * console.log(Tensor.einsum("btd,bsd->bts", queries, keys).shape) // => [ 2, 3, 5 ]
 * ```
 *
 * @category products
 * @since 0.1.0
 */
export const einsum: {
  (subscripts: string, ...operands: ReadonlyArray<TensorLike>): Tensor
  (
    subscripts: string,
    ...operandsAndOptions: readonly [...operands: ReadonlyArray<TensorLike>, options: EinsumOptions]
  ): Tensor
} = (subscripts: string, ...operands: ReadonlyArray<TensorLike | EinsumOptions>): Tensor => {
  const last = operands.at(-1)
  const preferred = isOptions(last) ? last.preferredElementType ?? null : null
  const arrays = operands.flatMap((x) => isOptions(x) ? [] : [lift(x)])
  const promoted = promote("einsum", ...arrays)
  const [first] = promoted
  if (first === undefined) return fail("at least one operand", "none", "pass arrays after the subscripts")
  if (first.dtype === "bool") {
    const counts = summation(subscripts, promoted.map((x) => lax.convertElementType(x, "int32")), null)
    return lax.convertElementType(toBool(counts), preferred ?? "bool")
  }
  const result = summation(subscripts, promoted, preferred === first.dtype ? null : preferred)
  return lax.convertElementType(result, preferred ?? first.dtype, preferred === null && first.weakType)
}
