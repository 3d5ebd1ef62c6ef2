/**
 * Clusters: values that one loop kernel computes. Each begins as one *root*, a value that must be in memory (or a
 * reduction); clusters of one index space grow together as long as every row needs nothing of other rows.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import { type Buffer, type Combine, keyOf, type Loop, type Reduction, type Stage, type Store } from "../ir.ts"
import { linear, Opaque, Refine, volume } from "./access.ts"
import { costOf, Expressions, isReduction, isView, type Resolved } from "./expression.ts"
import type { Operand, Value } from "./region.ts"
import { Dimensions, reductionSpace, type Space, spaceOf, within } from "./space.ts"

/** Values that one kernel computes, in order. */
export interface Cluster {
  readonly roots: ReadonlyArray<Value>
  readonly space: Space
}

/** Counts what the compiler looks at: it grows with the Program, and not faster. */
export interface Work {
  visits: number
}

/** What a cluster must know of the values around it. */
export interface Surroundings {
  /** Is the value in memory, or computed by some kernel that puts it there (or into a register of its own)? */
  readonly isRoot: (value: Value) => boolean
  readonly bufferOf: (value: Value) => Buffer
  /** Does anything outside of these roots read the value? */
  readonly isNeeded: (value: Value, roots: ReadonlySet<Value>) => boolean
  readonly work: Work
  /** A row's own memory, the same for all rows of a thread. */
  readonly local: (value: Value, size: number) => Buffer
}

/** Values that cannot be computed inside of a kernel: they must become roots. */
export class MustBeRoot {
  readonly values: ReadonlyArray<Value>
  constructor(...values: ReadonlyArray<Value>) {
    this.values = values
  }
}

const isReduced = (value: Value): boolean => value.node !== undefined && isReduction(value.node)

/** The cluster of one root. */
export const single = (value: Value): Cluster => {
  const { node } = value
  if (node === undefined || !isReduction(node)) return { roots: [value], space: spaceOf(value.aval.shape) }
  const { axes } = (node.equation as EquationOf<"reduce_sum">).params
  return { roots: [value], space: reductionSpace(node.inputs[0].aval.shape, axes) }
}

/** The space of both, if one kernel can hold them. */
export const joined = (a: Space, b: Space): Space | undefined =>
  within(a, b) !== undefined ? b : within(b, a) !== undefined ? a : undefined

const combines: Readonly<Record<string, Combine>> = {
  reduce_sum: "sum",
  reduce_prod: "prod",
  reduce_max: "max",
  reduce_min: "min",
  reduce_and: "and",
  reduce_or: "or"
}

const combineOf = (value: Value): Combine => {
  const combine = combines[value.node?.equation.primitive ?? ""]
  if (value.aval.dtype !== "bool") return combine
  return combine === "max" ? "or" : combine === "min" ? "and" : combine
}

/** Above this cost a value that several stages read is kept for the row instead of computed again. */
const keepAbove = 8

/** What computing an element of the value costs here, up to what is in memory. */
const costHere = (value: Value, stop: (value: Value) => boolean, seen = new Set<Value>()): number => {
  if (value.node === undefined || seen.has(value)) return 0
  seen.add(value)
  const inputs = value.node.inputs.filter((x): x is Value => x._tag === "Value" && !stop(x))
  return costOf(value.node) + inputs.reduce((sum, x) => sum + costHere(x, stop, seen), 0)
}

/** How many of the roots read the value, directly or through what is computed on the way. */
const readers = (value: Value, roots: ReadonlyArray<Value>, isRoot: (value: Value) => boolean): number => {
  const reads = (x: Operand, seen: Set<Value>): boolean => {
    if (x === value) return true
    if (x._tag === "Literal" || seen.has(x) || isRoot(x)) return false
    seen.add(x)
    return x.node?.inputs.some((input) => reads(input, seen)) ?? false
  }
  return roots.filter((root) => {
    const seen = new Set<Value>([root])
    return root !== value && (root.node?.inputs.some((input) => reads(input, seen)) ?? false)
  }).length
}

/** Writes the stages of a cluster over given dimensions. */
class Writer {
  readonly #cluster: Cluster
  readonly #around: Surroundings
  readonly #dimensions: Dimensions
  readonly #own: ReadonlySet<Value>
  readonly #state = new Map<Value, Resolved>()
  readonly #stages: Array<Stage> = []
  readonly #expressions: Expressions

  constructor(cluster: Cluster, around: Surroundings, dimensions: Dimensions) {
    this.#cluster = cluster
    this.#around = around
    this.#dimensions = dimensions
    this.#own = new Set(cluster.roots)
    this.#expressions = new Expressions(dimensions.extents, (value) => this.#resolve(value))
  }

  get opaque(): Value | undefined {
    return this.#expressions.opaque
  }

  #resolve(value: Value): Resolved {
    const own = this.#state.get(value)
    if (own !== undefined) return own
    if (this.#own.has(value)) return { _tag: "Inline" }
    return this.#around.isRoot(value) ? { _tag: "Buffer", buffer: this.#around.bufferOf(value) } : { _tag: "Inline" }
  }

  #store(tag: "Map" | "Close", store: Store): void {
    const last = this.#stages.at(-1)
    if (last?._tag === tag) this.#stages[this.#stages.length - 1] = { _tag: tag, stores: [...last.stores, store] }
    else this.#stages.push({ _tag: tag, stores: [store] })
  }

  stages(): ReadonlyArray<Stage> {
    for (const root of this.#cluster.roots) {
      if (isReduced(root)) this.#reduce(root)
      else this.#map(root)
    }
    return this.#stages
  }

  #reduce(root: Value): void {
    const count = this.#dimensions.extents.length
    const [operand] = root.node?.inputs ?? []
    const { dtype } = root.aval
    const value = this.#expressions.at(operand, this.#dimensions.access("full"))
    const reduction: Reduction = { _tag: "Reduce", combine: combineOf(root), value, dtype }
    this.#stages.push(reduction)
    const at = linear(this.#dimensions.access("rows"), count)
    this.#state.set(root, { _tag: "Reduced", reduction, place: keyOf(at) })
    if (!this.#around.isNeeded(root, this.#own)) return
    this.#store("Close", { buffer: this.#around.bufferOf(root), at, value: { _tag: "Reduced", reduction, dtype } })
  }

  #map(root: Value): void {
    const where = within(spaceOf(root.aval.shape), this.#cluster.space)
    if (where === undefined) throw new Opaque()
    const access = this.#dimensions.access(where)
    const at = linear(access, this.#dimensions.extents.length)
    const place = keyOf(at)
    const value = this.#expressions.at(root, access)
    const rows = where === "rows" && this.#cluster.space.reduced.length > 0
    const tag = rows ? "Close" : "Map"
    const isOwn = (x: Value) => this.#own.has(x) || this.#around.isRoot(x)
    const again = this.#cluster.space.reduced.length > 0 && !rows && costHere(root, isOwn) > keepAbove
    if (this.#around.isNeeded(root, this.#own)) {
      const buffer = this.#around.bufferOf(root)
      this.#store(tag, { buffer, at, value })
      if (!again) return
      this.#state.set(root, { _tag: "Stored", buffer, at, place })
    } else if (again && readers(root, this.#cluster.roots, isOwn) > 1) {
      const inner = this.#dimensions.inner
      const buffer = this.#around.local(root, volume(inner))
      const outer = this.#dimensions.outer.map(() => 0)
      const strides = inner.map((_, i) => volume(inner.slice(i + 1)))
      const own = { offset: 0, strides: [...outer, ...strides] }
      this.#store("Map", { buffer, at: own, value })
      this.#state.set(root, { _tag: "Stored", buffer, at: own, place })
    } else {
      return
    }
    this.#expressions.forget(root)
  }
}

/** For how many splits of dimensions a kernel is tried. */
const tries = 12

/** The kernel of a cluster. Throws `MustBeRoot`, or `Opaque` where no value alone is the reason. */
export const build = (cluster: Cluster, around: Surroundings, name: string): Loop => {
  let dimensions = new Dimensions(cluster.space)
  for (let n = 0; n < tries; n++) {
    const writer = new Writer(cluster, around, dimensions)
    try {
      const stages = writer.stages()
      return { _tag: "Loop", name, outer: dimensions.outer, inner: dimensions.inner, stages }
    } catch (thrown) {
      if (thrown instanceof Refine) {
        dimensions = dimensions.refined(thrown)
      } else if (thrown instanceof Opaque) {
        const { opaque } = writer
        if (opaque !== undefined && !cluster.roots.includes(opaque)) throw new MustBeRoot(opaque)
        throw thrown
      } else {
        throw thrown
      }
    }
  }
  throw new Opaque()
}

/** Is the value computed where it is used at no more than a few additions, so that computing it twice is no loss? */
export const isCheap = (value: Value, isRoot: (value: Value) => boolean): boolean => {
  const seen = new Set<Value>()
  const loads = new Set<Operand>()
  const visit = (x: Operand): number => {
    if (x._tag === "Literal" || seen.has(x)) return 0
    if (x !== value && isRoot(x)) {
      loads.add(x)
      return 0
    }
    seen.add(x)
    if (x.node === undefined) return 0
    return (isView(x.node) ? 0 : costOf(x.node)) + x.node.inputs.reduce((sum, input) => sum + visit(input), 0)
  }
  return visit(value) <= 3 && loads.size <= 2
}
