/**
 * Units: what becomes one kernel (or loop, branch, callback) of a region. Clusters are merged along the values that pass
 * between them, never so that two units would wait for each other; matrix products and convolutions take the cluster
 * that follows them as their epilogue.
 */
import { keyOf, type Loop, type Store } from "../ir.ts"
import { identityOver, linear, Opaque, Refine, throughReshape, volume } from "./access.ts"
import { build, type Cluster, joined, MustBeRoot, single, type Surroundings } from "./cluster.ts"
import { Expressions, isInlinable, isReduction } from "./expression.ts"
import { captured, type Node, type Operand, type Region, type Value } from "./region.ts"
import type { Reader, Roots } from "./roots.ts"
import { innerAxes, isTrailing, keptAxes } from "./space.ts"

/** One unit. `epilogue` belongs to a product or convolution: the values that it computes, and their stores. */
export interface Unit {
  readonly position: number
  readonly node: Node | undefined
  readonly cluster: Cluster | undefined
  /** The kernel of a cluster; undefined of those that are written when all merging is done. */
  readonly loop: Loop | undefined
  readonly epilogue: { readonly roots: ReadonlyArray<Value>; readonly stores: ReadonlyArray<Store> } | undefined
  readonly reads: ReadonlySet<Value>
  readonly writes: ReadonlyArray<Value>
  /** How much writing its loop was. */
  readonly size: number
}

const positionOf = (value: Value): number => value.node?.position ?? -1

/** The roots that an expression of the operand reads. */
export const rootsBelow = (
  x: Operand,
  isRoot: (value: Value) => boolean,
  into: Set<Value>,
  seen = new Set<Value>()
): void => {
  if (x._tag === "Literal" || seen.has(x)) return
  seen.add(x)
  if (isRoot(x)) into.add(x)
  else x.node?.inputs.forEach((input) => rootsBelow(input, isRoot, into, seen))
}

/** Merging keeps rows apart from each other only if there are enough of them, or all of them are small. */
const rowsAreMany = (cluster: Cluster): boolean => {
  const outer = volume(keptAxes(cluster.space))
  const inner = volume(innerAxes(cluster.space))
  return outer >= 16 || outer * inner <= 4096
}

/** Clusters grow no larger: every merge writes the whole kernel again, and V8 compiles huge functions slowly. */
const mostRoots = 24
const largest = 1024
/** Units are merged only with those that are no further away in the order of execution, ... */
const farthest = 256
/** ... and of all that read the same with the nearest few. */
const nearest = 8

/** Makes the units of a region. */
export class Units {
  readonly #roots: Roots
  readonly #around: Surroundings
  readonly #units = new Set<Unit>()
  /** Kernels of the units that are written last. */
  readonly #loops = new Map<Unit, Loop>()
  readonly #writer = new Map<Value, Unit>()
  readonly #users = new Map<Value, Set<Unit>>()
  /** An order in which the units can run, with holes; and where each stands in it. */
  readonly #order: Array<Unit | undefined> = []
  readonly #ranks = new Map<Unit, number>()
  /** What a unit that is no more became part of. */
  readonly #became = new Map<Unit, Unit>()

  constructor(region: Region, roots: Roots, surroundings: Omit<Surroundings, "isRoot" | "isNeeded">) {
    this.#roots = roots
    this.#around = {
      ...surroundings,
      isRoot: roots.isRoot,
      isNeeded: (value, own) => [...roots.readers(value)].some((reader) => !this.#isWithin(reader, own))
    }
    for (const node of region.nodes) {
      if (!isInlinable(node) && !isReduction(node)) {
        this.#addNode(node)
        continue
      }
      for (const value of node.outputs) if (roots.isRoot(value) || isReduction(node)) this.#addCluster(value)
    }
  }

  #isWithin(reader: Reader, own: ReadonlySet<Value>): boolean {
    return reader !== "outside" && "_tag" in reader && own.has(reader)
  }

  #add(unit: Unit, rank = this.#order.length): void {
    this.#units.add(unit)
    this.#order[rank] = unit
    this.#ranks.set(unit, rank)
    for (const value of unit.writes) this.#writer.set(value, unit)
    for (const value of unit.reads) {
      const users = this.#users.get(value)
      if (users === undefined) this.#users.set(value, new Set([unit]))
      else users.add(unit)
    }
  }

  #remove(unit: Unit): void {
    this.#units.delete(unit)
    this.#order[this.#rank(unit)] = undefined
    this.#ranks.delete(unit)
    for (const value of unit.reads) this.#users.get(value)?.delete(unit)
  }

  #addNode(node: Node): void {
    const reads = new Set<Value>()
    for (const x of node.inputs) rootsBelow(x, this.#roots.isRoot, reads)
    for (const body of node.bodies) for (const x of captured(body)) rootsBelow(x, this.#roots.isRoot, reads)
    const { outputs: writes, position } = node
    this.#add({ position, node, cluster: undefined, loop: undefined, epilogue: undefined, reads, writes, size: 0 })
  }

  #readsOf(roots: ReadonlyArray<Value>): ReadonlySet<Value> {
    const reads = new Set<Value>()
    for (const root of roots) for (const x of root.node?.inputs ?? []) rootsBelow(x, this.#roots.isRoot, reads)
    for (const root of roots) reads.delete(root)
    return reads
  }

  /** Writes its kernel, unless it may yet become part of a larger one. */
  #clusterUnit(cluster: Cluster, isOpen = false): Unit {
    const before = this.#around.work.visits
    const reads = this.#readsOf(cluster.roots)
    const loop = isOpen ? undefined : build(cluster, this.#around, nameOf(cluster.roots))
    return {
      position: cluster.roots.reduce((last, root) => Math.max(last, positionOf(root)), -1),
      node: undefined,
      cluster,
      loop,
      epilogue: undefined,
      reads,
      writes: cluster.roots,
      size: this.#around.work.visits - before
    }
  }

  #addCluster(value: Value): void {
    if (volume(value.aval.shape) > 0) this.#add(this.#clusterUnit(single(value), true))
  }

  /** Writes the kernels of clusters that are alone. Throws `MustBeRoot` with all values that it takes. */
  #close(): void {
    const forced: Array<Value> = []
    for (const unit of this.#units) {
      const { cluster, loop } = unit
      if (cluster === undefined || loop !== undefined) continue
      try {
        this.#loops.set(unit, build(cluster, this.#around, nameOf(cluster.roots)))
      } catch (thrown) {
        if (!(thrown instanceof MustBeRoot)) throw thrown
        forced.push(...thrown.values)
      }
    }
    if (forced.length > 0) throw new MustBeRoot(...forced)
  }

  /** The kernel of a unit that is a cluster. */
  loopOf(unit: Unit): Loop | undefined {
    return unit.loop ?? this.#loops.get(unit)
  }

  #rank(unit: Unit): number {
    return this.#ranks.get(unit) ?? -1
  }

  /**
   * What must run after the earlier one of two units and can run before the later one; undefined if the later one is
   * reached that way, so that they cannot be one, or if they are too far apart. All ways lead upwards in the order.
   */
  #between(a: Unit, b: Unit): ReadonlySet<Unit> | undefined {
    const [first, last] = this.#rank(a) < this.#rank(b) ? [a, b] : [b, a]
    const end = this.#rank(last)
    if (end - this.#rank(first) > farthest) return undefined
    const seen = new Set<Unit>()
    const open = this.#after(first).filter((unit) => unit !== last)
    for (let unit = open.pop(); unit !== undefined; unit = open.pop()) {
      this.#around.work.visits++
      if (unit === last) return undefined
      if (seen.has(unit) || this.#rank(unit) > end) continue
      seen.add(unit)
      open.push(...this.#after(unit))
    }
    return seen
  }

  #after(unit: Unit): Array<Unit> {
    return unit.writes.flatMap((value) => [...this.#users.get(value) ?? []])
  }

  #tryMerge(a: Unit, b: Unit): Unit | undefined {
    if (a.cluster === undefined || b.cluster === undefined || a === b) return undefined
    const space = joined(a.cluster.space, b.cluster.space)
    if (space === undefined) return undefined
    if (a.cluster.roots.length + b.cluster.roots.length > mostRoots || a.size + b.size > largest) return undefined
    const roots = [...a.cluster.roots, ...b.cluster.roots].toSorted((x, y) => positionOf(x) - positionOf(y))
    const cluster: Cluster = { roots, space }
    const rows = space.reduced.length > 0
    if (rows && !(isTrailing(space) && rowsAreMany(cluster)) && !areApart(a, b)) return undefined
    if (rows && !isTrailing(space) && roots.some((r) => r.node !== undefined && !isReduction(r.node))) return undefined
    if (this.#between(a, b) === undefined) return undefined
    try {
      return this.#clusterUnit(cluster)
    } catch (thrown) {
      if (thrown instanceof Opaque || thrown instanceof MustBeRoot) return undefined
      throw thrown
    }
  }

  /** One unit in the place of two: in the order it comes before all that must run after the earlier one. */
  #replace(a: Unit, b: Unit, merged: Unit): void {
    const later = this.#between(a, b) ?? new Set()
    const [start, end] = [this.#rank(a), this.#rank(b)].toSorted((x, y) => x - y)
    const window = this.#order.slice(start, end + 1).filter((unit) => unit !== a && unit !== b)
    this.#remove(a)
    this.#remove(b)
    const isLater = (unit: Unit | undefined) => unit !== undefined && later.has(unit)
    const before = window.filter((unit) => !isLater(unit))
    const after = window.filter(isLater)
    const placed = [...before, merged, ...after, undefined]
    placed.forEach((unit, i) => {
      this.#order[start + i] = unit
      if (unit !== undefined) this.#ranks.set(unit, start + i)
    })
    this.#add(merged, start + before.length)
    this.#became.set(a, merged)
    this.#became.set(b, merged)
  }

  /** What a unit is part of now. */
  #now(unit: Unit): Unit {
    let found = unit
    for (let next = this.#became.get(found); next !== undefined; next = this.#became.get(found)) found = next
    return found
  }

  /**
   * Merges clusters, first with what they read, then with those that read the same. Elementwise ones come first, and
   * then those that follow a product become its epilogue, before rows take them.
   */
  merge(): void {
    const written = (unit: Unit) => [...unit.reads].flatMap((value) => this.#writer.get(value) ?? [])
    const isElementwise = (unit: Unit) => unit.cluster?.space.reduced.length === 0
    this.#mergeWith((unit) => isElementwise(unit) ? written(unit).filter(isElementwise) : [])
    this.#absorb()
    this.#mergeWith(written)
    this.#mergeReaders()
    this.#absorb()
    this.#close()
  }

  #mergeWith(neighbours: (unit: Unit) => ReadonlyArray<Unit>): void {
    for (const first of [...this.#units].toSorted((x, y) => x.position - y.position)) {
      if (!this.#units.has(first)) continue
      const tried = new Set<Unit>()
      for (let unit: Unit | undefined = first; unit !== undefined;) unit = this.#mergeOne(unit, neighbours(unit), tried)
    }
  }

  /** The unit merged with the first of others that can be; undefined if none can. */
  #mergeOne(unit: Unit, others: ReadonlyArray<Unit>, tried: Set<Unit>): Unit | undefined {
    for (const other of others) {
      if (other === unit || tried.has(other) || !this.#units.has(other)) continue
      tried.add(other)
      this.#around.work.visits++
      const merged = this.#tryMerge(other, unit)
      if (merged === undefined) continue
      this.#replace(other, unit, merged)
      return merged
    }
    return undefined
  }

  /** Merges units that read the same value with those of the nearest few before them. */
  #mergeReaders(): void {
    for (const users of this.#users.values()) {
      const recent: Array<Unit> = []
      for (const user of [...users].toSorted((x, y) => x.position - y.position)) {
        const unit = this.#now(user)
        const others = [...new Set(recent.map((u) => this.#now(u)))].filter((u) => u !== unit).reverse()
        this.#mergeOne(unit, others, new Set())
        if (unit.cluster !== undefined) recent.push(unit)
        if (recent.length > nearest) recent.shift()
      }
    }
  }

  /** Gives products and convolutions the elementwise clusters that follow them. */
  #absorb(): void {
    for (const unit of Array.from(this.#units)) {
      const { node } = unit
      const primitive = node?.equation.primitive
      if (
        node === undefined || unit.epilogue !== undefined ||
        (primitive !== "dot_general" && primitive !== "conv_general_dilated")
      ) continue
      for (const after of this.#after(unit)) {
        if (
          after.cluster === undefined || after.cluster.space.reduced.length > 0 ||
          this.#between(unit, after) === undefined
        ) {
          continue
        }
        const stores = this.#epilogue(node, after.cluster)
        if (stores === undefined) continue
        const reads = new Set([...unit.reads, ...after.reads])
        for (const value of node.outputs) reads.delete(value)
        const { roots } = after.cluster
        this.#replace(unit, after, {
          ...unit,
          position: Math.max(unit.position, after.position),
          epilogue: { roots, stores },
          reads,
          writes: [...unit.writes, ...after.writes]
        })
        break
      }
    }
  }

  #epilogue(node: Node, cluster: Cluster): ReadonlyArray<Store> | undefined {
    const [product] = node.outputs
    const shape = epilogueShape(node)
    if (volume(shape) !== volume(cluster.space.axes)) return undefined
    const dimensions = shape.length
    const all = identityOver(shape)
    const place = keyOf(linear(all, dimensions))
    const own = new Set(cluster.roots)
    const expressions = new Expressions(shape, (value) =>
      value === product
        ? { _tag: "Product", place }
        : this.#roots.isRoot(value) && !own.has(value)
        ? { _tag: "Buffer", buffer: this.#around.bufferOf(value) }
        : { _tag: "Inline" })
    try {
      return cluster.roots.flatMap((root): ReadonlyArray<Store> => {
        const access = throughReshape(all, root.aval.shape, dimensions)
        const value = expressions.at(root, access)
        return this.#around.isNeeded(root, own)
          ? [{ buffer: this.#around.bufferOf(root), at: linear(access, dimensions), value }]
          : []
      })
    } catch (thrown) {
      if (thrown instanceof Opaque || thrown instanceof Refine) return undefined
      throw thrown
    }
  }

  /** Does anything but this unit's own epilogue read the product? */
  isProductNeeded(unit: Unit): boolean {
    const [product] = unit.node?.outputs ?? []
    return this.#around.isNeeded(product, new Set(unit.epilogue?.roots ?? []))
  }

  /** All units, each after those that it reads from, else in the order of the Program. */
  ordered(): ReadonlyArray<Unit> {
    const done = new Set<Unit>()
    const out: Array<Unit> = []
    const visit = (unit: Unit): void => {
      if (done.has(unit)) return
      done.add(unit)
      const before = [...unit.reads].flatMap((value) => this.#writer.get(value) ?? [])
      for (const other of before.toSorted((x, y) => x.position - y.position)) visit(other)
      out.push(unit)
    }
    for (const unit of [...this.#units].toSorted((x, y) => x.position - y.position)) visit(unit)
    return out
  }
}

/** Does neither of them read what the other writes? */
const areApart = (a: Unit, b: Unit): boolean =>
  !a.writes.some((value) => b.reads.has(value)) && !b.writes.some((value) => a.reads.has(value))

/** The index space of an epilogue: (batch…, m, n) of a product, or the shape of a convolution's result. */
export const epilogueShape = (node: Node): ReadonlyArray<number> => {
  const { equation } = node
  if (equation.primitive !== "dot_general") return node.outputs[0].aval.shape
  const { batch: [batch], contracting: [contracting] } = equation.params.dimension_numbers
  const x = node.inputs[0].aval.shape
  const free = x.filter((_, i) => !batch.includes(i) && !contracting.includes(i))
  const sizes = batch.map((axis) => x[axis])
  const m = volume(free)
  const all = volume(node.outputs[0].aval.shape)
  const outer = volume(sizes) * m
  return [...sizes, m, outer === 0 ? 0 : all / outer]
}

/** A name for people: the primitives of the roots. */
const nameOf = (roots: ReadonlyArray<Value>): string => {
  const names = [...new Set(roots.map((root) => root.node?.equation.primitive ?? "copy"))]
  return names.slice(-4).join("_")
}
