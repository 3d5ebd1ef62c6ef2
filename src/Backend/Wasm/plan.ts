/**
 * The memory plan: a place for every buffer of a compiled Program. Temporary buffers share one arena: each lives from
 * the kernel that writes it to the last that reads it, and buffers that never live at once may overlap. A kernel that
 * reads an element last and writes another at the same index does so in place. An output that takes an input's place
 * (donation) is written there directly wherever nothing reads the input afterwards.
 */
import { byteSize } from "../../Tensor/DType.ts"
import { type Touched, touched } from "./compile/group.ts"
import { type Place, type Plan, slots } from "./emission.ts"
import {
  type Affine,
  type Buffer,
  type Compiled,
  type Expression,
  type Group,
  type Kernel,
  type Loop,
  sameAffine,
  type Step,
  type Store
} from "./ir.ts"
import { passesOf } from "./loops/passes.ts"

/** Bytes of a buffer, up to the next multiple of 16. */
const bytesOf = (buffer: Buffer): number => Math.ceil(buffer.size * byteSize(buffer.dtype) / 16) * 16

/** Which output takes the place of which input. */
export type Aliases = ReadonlyArray<readonly [output: number, input: number]>

interface Life {
  readonly buffer: Buffer
  from: number
  to: number
}

/** How a buffer is loaded by expressions: all these places; undefined when an index is computed. */
const loadsOf = (e: Expression, buffer: Buffer, into: Array<Affine>, seen: Set<Expression>): boolean => {
  if (seen.has(e)) return true
  seen.add(e)
  switch (e._tag) {
    case "Load":
      if (e.buffer === buffer) into.push(e.at)
      return true
    case "LoadAt":
      return e.buffer !== buffer && loadsOf(e.index, buffer, into, seen)
    case "Apply":
      return e.args.every((x) => loadsOf(x, buffer, into, seen))
    case "Power":
    case "Convert":
    case "Bitcast":
      return loadsOf(e.x, buffer, into, seen)
    case "Constant":
    case "Index":
    case "Reduced":
    case "Product":
      return true
  }
}

const readOnlyAt = (values: ReadonlyArray<Expression>, buffer: Buffer, at: Affine): boolean => {
  const places: Array<Affine> = []
  const seen = new Set<Expression>()
  return values.every((e) => loadsOf(e, buffer, places, seen)) && places.every((place) => sameAffine(place, at))
}

const reads = (values: ReadonlyArray<Expression>, buffer: Buffer): boolean => {
  const places: Array<Affine> = []
  const seen = new Set<Expression>()
  return !values.every((e) => loadsOf(e, buffer, places, seen)) || places.length > 0
}

const storesInPlace = (stores: ReadonlyArray<Store>, written: Buffer, read: Buffer): boolean => {
  const own = stores.filter((s) => s.buffer === written)
  return own.length === 1 && readOnlyAt(stores.map((s) => s.value), read, own[0].at)
}

/** May a loop write `written` over `read`, which it is the last to read? */
const loopInPlace = (loop: Loop, written: Buffer, read: Buffer): boolean => {
  const passes = passesOf(loop)
  const at = passes.findIndex((pass) => pass.stores.some((s) => s.buffer === written))
  if (at < 0 || passes[at].isClose) return false
  const own = passes[at].stores.filter((s) => s.buffer === written)
  // Earlier passes over the row may read what is its own only; later ones would see what was written.
  return own.length === 1 && passes.every((pass, i) => {
    const values = [...pass.reductions, ...pass.stores].map((x) => x.value)
    return i <= at ? readOnlyAt(values, read, own[0].at) : !reads(values, read)
  })
}

/** Of every buffer the loops of a group that write it, and those that read it. */
interface LoopsByBuffer {
  readonly writers: ReadonlyMap<Buffer, ReadonlyArray<Loop>>
  readonly readers: ReadonlyMap<Buffer, ReadonlyArray<Loop>>
}

const loopsBy = (group: Group): LoopsByBuffer => {
  const writers = new Map<Buffer, Array<Loop>>()
  const readers = new Map<Buffer, Array<Loop>>()
  const add = (to: Map<Buffer, Array<Loop>>, buffer: Buffer, loop: Loop): void => {
    const loops = to.get(buffer)
    if (loops === undefined) to.set(buffer, [loop])
    else loops.push(loop)
  }
  for (const loop of group.loops) {
    const { reads, writes } = touched(loop)
    for (const buffer of writes) add(writers, buffer, loop)
    for (const buffer of reads) add(readers, buffer, loop)
  }
  return { writers, readers }
}

/** Finds the loops of each group once. */
const rememberLoops = (): (group: Group) => LoopsByBuffer => {
  const known = new Map<Group, LoopsByBuffer>()
  return (group) => {
    const made = known.get(group) ?? loopsBy(group)
    known.set(group, made)
    return made
  }
}

/** May the kernel write `written` where `read` is, which nobody reads after it? */
const inPlace = (
  kernel: Kernel,
  written: Buffer,
  read: Buffer,
  loopsOf: (group: Group) => LoopsByBuffer
): boolean => {
  if (written.size !== read.size || byteSize(written.dtype) !== byteSize(read.dtype)) return false
  switch (kernel._tag) {
    case "Loop":
      return loopInPlace(kernel, written, read)
    case "Group": {
      const writers = loopsOf(kernel).writers.get(written) ?? []
      const readers = loopsOf(kernel).readers.get(read) ?? []
      return writers.length === 1 && readers.every((loop) => loop === writers[0]) &&
        loopInPlace(writers[0], written, read)
    }
    case "Dot":
      if (kernel.x.buffer === read || kernel.y.buffer === read) return false
      return read === kernel.out
        ? isDense(kernel.epilogue, written, [...kernel.batch, kernel.m, kernel.n])
        : written !== kernel.out && storesInPlace(kernel.epilogue, written, read)
    case "Convolution":
      if (kernel.x === read || kernel.y === read) return false
      return read === kernel.out
        ? isDense(kernel.epilogue, written, kernel.equation.outputs[0].aval.shape)
        : written !== kernel.out && storesInPlace(kernel.epilogue, written, read)
    case "Irregular":
      return false
  }
}

/** Is the buffer stored in the order of the product's own elements? */
const isDense = (stores: ReadonlyArray<Store>, written: Buffer, shape: ReadonlyArray<number>): boolean => {
  const own = stores.filter((s) => s.buffer === written)
  let stride = 1
  const dense = shape.toReversed().every((n, i) => {
    const ok = n === 1 || own[0]?.at.strides[shape.length - 1 - i] === stride
    stride *= n
    return ok
  })
  return own.length === 1 && own[0].at.offset === 0 && dense
}

/** Goes through the steps in the order of time, and notes when buffers live. */
class Timeline {
  readonly lives = new Map<Buffer, Life>()
  readonly locals = new Set<Buffer>()
  /** Buffers whose address changes while a loop runs: slices of others, and carries, which have memory of their own. */
  readonly slices: Array<Buffer> = []
  readonly carries: Array<Buffer> = []
  readonly kernels: Array<Touched & { readonly time: number; readonly kernel: Kernel }> = []
  /** The lives that went on, in order. */
  readonly #noted: Array<Life> = []
  #time = 0

  #note(buffer: Buffer, time: number): void {
    if (buffer.local === true) {
      this.locals.add(buffer)
      return
    }
    const life = this.lives.get(buffer)
    if (life === undefined) {
      this.lives.set(buffer, { buffer, from: time, to: time })
      return
    }
    life.to = Math.max(life.to, time)
    this.#noted.push(life)
  }

  steps(steps: ReadonlyArray<Step>): void {
    for (const step of steps) this.#step(step)
  }

  get now(): number {
    return this.#time
  }

  /** A body that may run again: what it reads from before lives until its end. */
  #repeated(body: () => void): void {
    const start = this.#time
    const first = this.#noted.length
    body()
    const end = this.#time
    for (let i = first; i < this.#noted.length; i++) {
      const life = this.#noted[i]
      if (life.from < start) life.to = end
    }
  }

  #step(step: Step): void {
    const time = ++this.#time
    switch (step._tag) {
      case "Run": {
        const { reads, writes } = touched(step.kernel)
        this.kernels.push({ time, kernel: step.kernel, reads, writes })
        for (const buffer of [...reads, ...writes]) this.#note(buffer, time)
        return
      }
      case "Scan":
      case "While": {
        const slices = step._tag === "Scan" ? [...step.xs, ...step.ys] : []
        for (const { current, init, next } of step.carries) {
          for (const buffer of [init, current, next]) this.#note(buffer, time)
          this.carries.push(current, next)
        }
        for (const { slice, whole } of slices) {
          this.#note(whole, time)
          this.slices.push(slice)
        }
        this.#repeated(() => {
          this.#time++
          if (step._tag === "While") {
            this.steps(step.condition)
            this.#note(step.holds, ++this.#time)
          }
          this.steps(step.body)
          const end = ++this.#time
          for (const { current, next } of step.carries) for (const buffer of [current, next]) this.#note(buffer, end)
          for (const { whole } of slices) this.#note(whole, end)
        })
        const end = ++this.#time
        for (const { current, next, result } of step.carries) {
          for (const buffer of [current, next, result]) this.#note(buffer, end)
        }
        return
      }
      case "Cond":
        this.#note(step.index, time)
        for (const branch of step.branches) this.steps(branch)
        this.#time++
        for (const buffer of step.outputs) this.#note(buffer, this.#time)
        return
      case "Callback":
        for (const x of step.inputs) if ("name" in x) this.#note(x, time)
        return
    }
  }
}

/** Buffers that share memory because one is written over the other, by their last. */
class Merged {
  readonly #into = new Map<Buffer, Buffer>()

  find(buffer: Buffer): Buffer {
    let b = buffer
    for (let next = this.#into.get(b); next !== undefined; next = this.#into.get(b)) b = next
    return b
  }

  merge(buffer: Buffer, into: Buffer): void {
    this.#into.set(buffer, into)
  }
}

/** Places for lives so that none overlap: the largest first, each at the lowest free offset. */
const allocate = (lives: ReadonlyArray<Life>): { readonly offsets: Map<Buffer, number>; readonly bytes: number } => {
  const offsets = new Map<Buffer, number>()
  const placed: Array<{ readonly life: Life; readonly offset: number; readonly end: number }> = []
  let bytes = 0
  for (const life of lives.toSorted((a, b) => bytesOf(b.buffer) - bytesOf(a.buffer) || a.from - b.from)) {
    const size = bytesOf(life.buffer)
    let offset = 0
    for (const other of placed) {
      if (other.life.from > life.to || other.life.to < life.from) continue
      if (other.offset >= offset + size) break
      offset = Math.max(offset, other.end)
    }
    offsets.set(life.buffer, offset)
    const entry = { life, offset, end: offset + size }
    let at = placed.length
    while (at > 0 && placed[at - 1].offset > offset) at--
    placed.splice(at, 0, entry)
    bytes = Math.max(bytes, entry.end)
  }
  return { offsets, bytes }
}

/** The most bytes that live at once. */
const liveBytesOf = (lives: ReadonlyArray<Life>): number => {
  const changes = new Map<number, number>()
  for (const { buffer, from, to } of lives) {
    changes.set(from, (changes.get(from) ?? 0) + bytesOf(buffer))
    changes.set(to + 1, (changes.get(to + 1) ?? 0) - bytesOf(buffer))
  }
  let now = 0
  let most = 0
  for (const [, change] of [...changes].toSorted(([a], [b]) => a - b)) {
    now += change
    most = Math.max(most, now)
  }
  return most
}

/** Plans the memory of a compiled Program. `staying`: the numbers of outputs that stay where they are computed. */
export const plan = (compiled: Compiled, aliases: Aliases = [], staying: ReadonlyArray<number> = []): Plan => {
  const timeline = new Timeline()
  timeline.steps(compiled.steps)
  const end = timeline.now + 1
  const { lives } = timeline
  const outputs = new Set<Buffer>()
  for (const output of compiled.outputs) {
    if (output._tag !== "Buffer") continue
    outputs.add(output.buffer)
    const life = lives.get(output.buffer)
    if (life !== undefined) life.to = end
  }

  let next: number = slots.first
  const bySlot = new Map<Buffer, number>()
  const inputs = compiled.inputs.map((buffer) => {
    if (buffer === undefined) return undefined
    const slot = next++
    bySlot.set(buffer, slot)
    return slot
  })
  const moving = new Set([...timeline.slices, ...timeline.carries])
  for (const buffer of moving) if (!bySlot.has(buffer)) bySlot.set(buffer, next++)

  // Outputs that take an input's place.
  const merged = new Merged()
  const loopsOf = rememberLoops()
  const passed = new Set(compiled.outputs.flatMap((o) => o._tag === "Input" ? [o.index] : []))
  const kernelAt = new Map<number, Kernel>(timeline.kernels.map(({ kernel, time }) => [time, kernel]))
  for (const [output, input] of aliases) {
    const out = compiled.outputs[output]
    const buffer = compiled.inputs[input]
    if (out._tag !== "Buffer") continue
    // An input that is handed through too is still needed when all is done.
    const isPassed = passed.has(input)
    const written = lives.get(out.buffer)
    if (written === undefined) continue
    const read = buffer === undefined ? undefined : lives.get(buffer)
    const free = read === undefined || read.to < written.from
    const kernel = kernelAt.get(written.from)
    const own = buffer !== undefined && !free && read.to === written.from && kernel !== undefined &&
      !moving.has(out.buffer) && inPlace(kernel, out.buffer, buffer, loopsOf)
    const slot = inputs[input]
    if (slot !== undefined && !isPassed && (free || own) && !bySlot.has(out.buffer)) bySlot.set(out.buffer, slot)
  }

  const own = new Set<Buffer>()
  for (const output of staying) {
    const out = compiled.outputs[output]
    if (out._tag !== "Buffer" || !lives.has(out.buffer) || bySlot.has(out.buffer)) continue
    bySlot.set(out.buffer, next++)
    own.add(out.buffer)
  }

  // Temporary buffers written over others that end where they begin.
  for (const { kernel, reads, time, writes } of timeline.kernels) {
    const taken = new Set<Buffer>()
    const old = [...reads, ...kernel._tag === "Dot" || kernel._tag === "Convolution" ? [kernel.out] : []]
    for (const written of writes) {
      const life = lives.get(written)
      if (life === undefined || life.from !== time || bySlot.has(written)) continue
      const found = old.find((read) =>
        read !== written && !taken.has(read) && !bySlot.has(read) && lives.get(read)?.to === time &&
        merged.find(read) !== merged.find(written) && !outputs.has(read) && inPlace(kernel, written, read, loopsOf)
      )
      if (found === undefined) continue
      taken.add(found)
      merged.merge(written, merged.find(found))
    }
  }
  const groups = new Map<Buffer, Life>()
  for (const life of lives.values()) {
    if (bySlot.has(life.buffer)) continue
    const root = merged.find(life.buffer)
    const group = groups.get(root)
    if (group === undefined) groups.set(root, { buffer: root, from: life.from, to: life.to })
    else {
      group.from = Math.min(group.from, life.from)
      group.to = Math.max(group.to, life.to)
    }
  }
  const carried = timeline.carries.flatMap((buffer) => lives.get(buffer) ?? [])
  const all = [...groups.values(), ...carried]
  const { bytes, offsets } = allocate(all)
  const locals = localPlaces(timeline)

  const places = new Map<Buffer, Place>(locals.places)
  const homes = new Map<Buffer, Place>()
  const arena = (buffer: Buffer): Place => ({ slot: slots.arena, offset: offsets.get(merged.find(buffer)) ?? 0 })
  for (const buffer of lives.keys()) {
    const slot = bySlot.get(buffer)
    places.set(buffer, slot === undefined ? arena(buffer) : { slot, offset: 0 })
  }
  for (const buffer of timeline.carries) homes.set(buffer, arena(buffer))
  return {
    places,
    homes,
    own,
    slotCount: next,
    arenaBytes: bytes,
    liveBytes: liveBytesOf(all),
    localBytes: locals.bytes
  }
}

/** Rows' own buffers, one behind the other within a kernel. */
const localPlaces = ({ kernels }: Timeline): { readonly places: Map<Buffer, Place>; readonly bytes: number } => {
  const places = new Map<Buffer, Place>()
  let bytes = 0
  for (const { writes } of kernels) {
    let next = 0
    for (const buffer of writes) {
      if (buffer.local !== true) continue
      places.set(buffer, { slot: slots.locals, offset: next })
      next += bytesOf(buffer)
    }
    bytes = Math.max(bytes, next)
  }
  return { places, bytes }
}
