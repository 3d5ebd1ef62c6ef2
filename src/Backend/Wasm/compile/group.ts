/**
 * Groups: loops that depend on nothing of each other become one kernel. Loops that only write results of the Program,
 * such as an optimizer's updates of its parameters, wait for the last of them; other loops join the one before them.
 */
import type { Buffer, Expression, Kernel, Loop, Step } from "../ir.ts"

/** The buffers that an expression reads. */
export const buffersOf = (expression: Expression, into: Set<Buffer>, seen = new Set<Expression>()): void => {
  if (seen.has(expression)) return
  seen.add(expression)
  switch (expression._tag) {
    case "Load":
      into.add(expression.buffer)
      return
    case "LoadAt":
      into.add(expression.buffer)
      return buffersOf(expression.index, into, seen)
    case "Apply":
      return expression.args.forEach((x) => buffersOf(x, into, seen))
    case "Power":
    case "Convert":
    case "Bitcast":
      return buffersOf(expression.x, into, seen)
    case "Constant":
    case "Index":
    case "Reduced":
    case "Product":
      return
  }
}

/** What a kernel reads and writes. */
export interface Touched {
  readonly reads: ReadonlySet<Buffer>
  readonly writes: ReadonlySet<Buffer>
}

/** The buffers of a kernel. */
export const touched = (kernel: Kernel): Touched => {
  const reads = new Set<Buffer>()
  const writes = new Set<Buffer>()
  const seen = new Set<Expression>()
  const stores = (all: ReadonlyArray<{ readonly buffer: Buffer; readonly value: Expression }>) => {
    for (const { buffer, value } of all) {
      writes.add(buffer)
      buffersOf(value, reads, seen)
    }
  }
  const loop = (self: Loop) => {
    for (const stage of self.stages) {
      if (stage._tag === "Reduce") buffersOf(stage.value, reads, seen)
      else stores(stage.stores)
    }
  }
  switch (kernel._tag) {
    case "Loop":
      loop(kernel)
      break
    case "Group":
      kernel.loops.forEach(loop)
      break
    case "Dot":
      reads.add(kernel.x.buffer).add(kernel.y.buffer)
      writes.add(kernel.out)
      stores(kernel.epilogue)
      break
    case "Convolution":
      reads.add(kernel.x).add(kernel.y)
      writes.add(kernel.out)
      stores(kernel.epilogue)
      break
    case "Irregular":
      for (const x of kernel.inputs) if ("name" in x) reads.add(x)
      for (const x of kernel.outputs) writes.add(x)
      break
  }
  return { reads, writes }
}

/** Gives the buffers of a kernel. */
export type TouchedBy = (kernel: Kernel) => Touched

/** `touched`, but each kernel is looked at once. */
export const rememberTouched = (): TouchedBy => {
  const known = new Map<Kernel, Touched>()
  return (kernel) => {
    const found = known.get(kernel)
    if (found !== undefined) return found
    const made = touched(kernel)
    known.set(kernel, made)
    return made
  }
}

/** Are the rows of this loop short and many, so that it can share a kernel with others? */
const isMap = (step: Step): step is Extract<Step, { readonly _tag: "Run" }> & { readonly kernel: Loop } =>
  step._tag === "Run" && step.kernel._tag === "Loop" && step.kernel.stages.every((stage) => stage._tag === "Map")

const meets = (a: ReadonlySet<Buffer>, b: ReadonlySet<Buffer>): boolean => [...a].some((x) => b.has(x))

const merge = (loops: ReadonlyArray<Loop>): Step => ({
  _tag: "Run",
  kernel: loops.length === 1 ? loops[0] : { _tag: "Group", name: `${loops[0].name} (${loops.length})`, loops }
})

/** Steps with groups. `results` are buffers that the outside reads when all steps are done. */
export const grouped = (
  steps: ReadonlyArray<Step>,
  results: ReadonlySet<Buffer>,
  touchedBy: TouchedBy
): ReadonlyArray<Step> => {
  /** Both from the end. */
  const last: Array<Loop> = []
  const rest: Array<Step> = []
  // From the end: a loop whose writes only the outside reads can wait, if nobody writes there too (what pads, and what
  // is padded).
  const read = new Set<Buffer>()
  const written = new Set<Buffer>()
  for (const step of steps.toReversed()) {
    const waits = isMap(step) &&
      [...touchedBy(step.kernel).writes].every((b) => results.has(b) && !read.has(b) && !written.has(b))
    readBy(step, read, touchedBy)
    if (step._tag === "Run") { for (const b of touchedBy(step.kernel).writes) written.add(b) }
    if (waits) last.push(step.kernel)
    else rest.push(step)
  }
  const all = neighbours(rest.reverse(), touchedBy)
  return last.length === 0 ? all : [...all, merge(last.reverse())]
}

/** Loops that stand side by side, read nothing of each other and write nothing in common. */
const neighbours = (steps: ReadonlyArray<Step>, touchedBy: TouchedBy): ReadonlyArray<Step> => {
  const out: Array<Step> = []
  let run: Array<Loop> = []
  let written = new Set<Buffer>()
  const flush = (): void => {
    if (run.length > 0) out.push(merge(run))
    run = []
    written = new Set()
  }
  for (const step of steps) {
    if (!isMap(step)) {
      flush()
      out.push(step)
      continue
    }
    const { reads, writes } = touchedBy(step.kernel)
    if (meets(reads, written) || meets(writes, written)) flush()
    run.push(step.kernel)
    for (const b of writes) written.add(b)
  }
  flush()
  return out
}

/** Everything that a step reads, at any depth. */
export const readBy = (step: Step, into: Set<Buffer>, touchedBy: TouchedBy): void => {
  switch (step._tag) {
    case "Run":
      touchedBy(step.kernel).reads.forEach((b) => into.add(b))
      return
    case "Scan":
      for (const { init } of step.carries) into.add(init)
      for (const { whole } of step.xs) into.add(whole)
      step.body.forEach((s) => readBy(s, into, touchedBy))
      return
    case "While":
      for (const { init } of step.carries) into.add(init)
      into.add(step.holds)
      for (const s of [...step.condition, ...step.body]) readBy(s, into, touchedBy)
      return
    case "Cond":
      into.add(step.index)
      step.branches.forEach((branch) => branch.forEach((s) => readBy(s, into, touchedBy)))
      return
    case "Callback":
      for (const x of step.inputs) if ("name" in x) into.add(x)
      return
  }
}
