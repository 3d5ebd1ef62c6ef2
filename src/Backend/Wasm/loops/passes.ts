/**
 * Stages gathered into *passes*: what does not depend on each other's results goes through the row together. And what
 * several passes need and is dear is kept: the first pass writes it to scratch memory, a vector an element of the row,
 * and the later ones read it there.
 */
import * as DTypes from "../../../Tensor/DType.ts"
import type { Features } from "../emission.ts"
import { type Buffer, type Expression, type Loop, type Reduction, sameAffine, type Stage, type Store } from "../ir.ts"
import type { Value } from "../math/value.ts"
import type { Writer } from "../math/writer.ts"
import type { Lowering } from "./lower.ts"
import { type Address, type Addresses, encode, store } from "./memory.ts"
import { visit } from "./space.ts"

/** A store that is ready to be written. */
export interface ReadyStore {
  readonly address: Address
  readonly value: Value
  readonly store: Store
}

/** Stages that are done together: along the row, or (`Close`) once for it. */
export interface Pass {
  readonly isClose: boolean
  readonly reductions: ReadonlyArray<Reduction>
  readonly stores: ReadonlyArray<Store>
}

/** A reduction, or one store: what cannot be taken apart. */
type Piece =
  | { readonly isClose: boolean; readonly value: Expression; readonly reduction: Reduction }
  | { readonly isClose: boolean; readonly value: Expression; readonly store: Store }

const piecesOf = (stage: Stage): ReadonlyArray<Piece> =>
  stage._tag === "Reduce"
    ? [{ isClose: false, value: stage.value, reduction: stage }]
    : stage.stores.map((store) => ({ isClose: stage._tag === "Close", value: store.value, store }))

/** Is the element that is read the one that was just stored, and would it come back as it was? */
const isForwarded = (e: Expression, { at, buffer }: Store): boolean =>
  e._tag === "Load" && DTypes.byteSize(buffer.dtype) === 4 && sameAffine(e.at, at)

/**
 * The passes of a loop, in order. What reads what was stored or reduced in a pass waits for the next one, unless it only
 * reads the element at hand.
 */
export const passesOf = (loop: Loop): ReadonlyArray<Pass> => {
  const passes: Array<{ isClose: boolean; reductions: Array<Reduction>; stores: Array<Store> }> = []
  let written = new Map<Buffer, Store>()
  for (const piece of loop.stages.flatMap(piecesOf)) {
    const last = passes.at(-1)
    let mustWait = last === undefined || last.isClose !== piece.isClose
    if (last !== undefined) {
      visit([piece.value], new Set(), (e) => {
        if (e._tag === "Reduced" && last.reductions.includes(e.reduction)) mustWait = true
        const store = e._tag === "Load" || e._tag === "LoadAt" ? written.get(e.buffer) : undefined
        if (store !== undefined && !isForwarded(e, store)) mustWait = true
      })
    }
    if (mustWait) {
      passes.push({ isClose: piece.isClose, reductions: [], stores: [] })
      written = new Map()
    }
    const pass = passes[passes.length - 1]
    if ("reduction" in piece) pass.reductions.push(piece.reduction)
    else {
      pass.stores.push(piece.store)
      written.set(piece.store.buffer, piece.store)
    }
  }
  return passes
}

/** Stores with their addresses and encoded values. */
export const readyStores = (
  stores: ReadonlyArray<Store>,
  lowering: Lowering,
  addresses: Addresses
): ReadonlyArray<ReadyStore> =>
  stores.map((store) => ({
    store,
    address: addresses.of(store.buffer, store.at),
    value: encode(lowering.value(store.value), store.buffer.dtype)
  }))

/** What a store needs in locals. */
export const rootsOf = (stores: ReadonlyArray<ReadyStore>): ReadonlyArray<Value> =>
  stores.flatMap(({ address, value }) => [value, address.base])

/** A pass as Values. */
export interface Lowered {
  readonly pass: Pass
  readonly reduced: ReadonlyArray<readonly [Reduction, Value]>
  readonly stores: ReadonlyArray<ReadyStore>
  readonly roots: ReadonlyArray<Value>
  /** About how many cycles one of its vectors takes. */
  readonly cost: number
}

/** Makes the Values of a pass, whose vectors are computed in the loop at a level. */
export const lowerPass = (pass: Pass, lowering: Lowering, addresses: Addresses, level: number): Lowered => {
  lowering.nextStage()
  for (const { at, buffer, value } of pass.stores) lowering.forward(buffer, at, lowering.value(value))
  const reduced = pass.reductions.map((reduction) => [reduction, lowering.value(reduction.value)] as const)
  const stores = readyStores(pass.stores, lowering, addresses)
  const roots = [...reduced.map(([, value]) => value), ...rootsOf(stores)]
  return { pass, reduced, stores, roots, cost: pass.isClose ? 0 : costOf(roots, level) }
}

/** Arrays up to which a vector has little at hand beside its chain of operations. */
const few = 3

/** Are passes long chains of operations on few arrays? */
const isChain = (passes: ReadonlyArray<Lowered>): boolean => {
  const arrays = new Set<Buffer | "product">()
  for (const { pass } of passes) {
    visit(pass.stores.map(({ value }) => value), new Set(), (e) => {
      if (e._tag === "Load" || e._tag === "LoadAt") arrays.add(e.buffer)
      if (e._tag === "Product") arrays.add("product")
    })
    for (const { buffer } of pass.stores) arrays.add(buffer)
  }
  return arrays.size <= few
}

/** How many vectors are computed side by side, up to a cost; dearer ones alone. */
const sideBySide = {
  reductions: [[6, 8], [40, 4], [600, 2]],
  chains: [[40, 4], [100, 8], [600, 4]],
  others: [[40, 4], [600, 2]]
} as const

/**
 * How many vectors are computed side by side: more of those that are quick, but no more than there are. Operations of a
 * chain wait for each other, and a processor that shares its core with others sees only some hundred instructions ahead:
 * there is independent work among them only if chains are side by side.
 */
export const copiesOf = (passes: ReadonlyArray<Lowered>, size: number, { wide }: Features): number => {
  const cost = Math.max(...passes.map((lowered) => lowered.cost))
  const hasReductions = passes.some(({ reduced }) => reduced.length > 0)
  const kind = hasReductions ? "reductions" : isChain(passes) ? "chains" : "others"
  const wanted = sideBySide[kind].find(([most]) => cost <= most)?.[1] ?? 1
  let copies = 1
  // Where the engine joins pairs, twice as many keep as many additions going.
  while (2 * copies <= Math.min(8, wide ? 2 * wanted : wanted) && 8 * copies <= size) copies *= 2
  return copies
}

/** Writes stores of Values that are in locals. */
export const writeStores = (writer: Writer, stores: ReadonlyArray<ReadyStore>, copies: number): void => {
  for (const { address, store: { buffer }, value } of stores) {
    for (let copy = 0; copy < (address.step === 0 ? 1 : copies); copy++) {
      store(writer, address, buffer.dtype, value, copy)
    }
  }
}

/** About how many cycles a vector of these Values takes, of what changes at a level or deeper; none is counted twice. */
const costOf = (roots: ReadonlyArray<Value>, level: number): number => {
  const seen = new Set<Value>()
  const stack = [...roots]
  let cost = 0
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (seen.has(value)) continue
    seen.add(value)
    if (value.level < level && !value.again) continue
    cost += value.cost
    stack.push(...value.args)
  }
  return cost
}
