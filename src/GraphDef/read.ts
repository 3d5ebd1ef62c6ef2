/**
 * Reading a whole model at once: its traversal (kept by its root, and right as long as its guards hold), and the values
 * of its Variables, in one synchronous block.
 */
import { currentUnsafe, readCell, type Trace } from "../Program/Trace.ts"
import { hiddenOf, isModule } from "../Ref/Module.ts"
import { cellOf } from "../Ref/Variable.ts"
import { type Flat, flatten, type Leaf, stillHolds } from "./flatten.ts"
import { sharedRef } from "./sharedRefs.ts"

/** @internal Throws for two Variables with one array ref: they would be two of their own when they are made again. */
export const checked = (flat: Flat): Flat => {
  const found = flat.shared.find(({ same }) => !same)
  if (found !== undefined) throw sharedRef("flatten", found.ref, found.paths)
  return flat
}

/** The traversal of a value. A Module keeps its own. */
export const traverse = (root: unknown): Flat => {
  if (!isModule(root)) return checked(flatten(root))
  const hidden = hiddenOf(root)
  const kept = hidden.traversal as Flat | undefined
  if (kept?.guards !== undefined && stillHolds(kept.guards)) return kept
  const flat = checked(flatten(root))
  hidden.traversal = flat.guards === undefined ? undefined : flat
  return flat
}

/** The value of a leaf. Outside of traces its arrays are handed out, so no later step may overwrite them. */
const valueOf = (leaf: Leaf, trace: Trace | undefined): unknown => {
  if (leaf._tag === "Array") return leaf.tensor
  const cell = cellOf(leaf.variable)
  if (trace !== undefined) return trace.read(cell)
  cell.shared = true
  return cell.owner === undefined ? cell.raw : readCell(cell)
}

/** The values of all leaves: of Variables as they are now. */
export const snapshot = (flat: Flat): ReadonlyArray<unknown> => {
  const trace = currentUnsafe()
  const values: Array<unknown> = []
  for (const leaf of flat.leaves) values.push(valueOf(leaf, trace))
  return values
}
