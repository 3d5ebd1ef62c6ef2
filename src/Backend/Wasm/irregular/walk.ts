/**
 * Loops over the points of a few axes, with addresses that move in steps of bytes; and copying, filling and visiting
 * elements along them, whole vectors where they are neighbours.
 */
import type { Code, Local } from "../assembler/index.ts"

/** An axis: its size, and the step in bytes of every address along it. */
export interface Axis {
  readonly size: number
  readonly steps: ReadonlyArray<number>
}

/** Axes without those of size 1, neighbours joined where all addresses step over them evenly. */
export const merged = (axes: ReadonlyArray<Axis>): ReadonlyArray<Axis> => {
  const out: Array<Axis> = []
  for (const axis of axes) {
    if (axis.size === 1) continue
    const last = out.at(-1)
    if (last !== undefined && last.steps.every((s, k) => s === axis.steps[k] * axis.size)) {
      out[out.length - 1] = { size: last.size * axis.size, steps: axis.steps }
    } else out.push(axis)
  }
  return out
}

/** How many points there are. */
export const points = (axes: ReadonlyArray<Axis>): number => axes.reduce((n, a) => n * a.size, 1)

/** Calls `body` once for every point, the locals being the addresses there. They are afterwards as they were. */
export const walk = (c: Code, axes: ReadonlyArray<Axis>, moving: ReadonlyArray<Local>, body: () => void): void => {
  const [axis, ...inner] = axes
  if (axis === undefined) return body()
  if (axis.size === 0) return
  const left = c.local("i32", "left")
  const move = (count: number) =>
    axis.steps.forEach((step, k) => {
      if (step * count !== 0) c.get(moving[k]).i32(step * count).op("i32.add").set(moving[k])
    })
  c.i32(axis.size).set(left)
  c.loop((again) => {
    walk(c, inner, moving, body)
    move(1)
    c.get(left).i32(1).op("i32.sub").tee(left).brIf(again)
  })
  move(-axis.size)
}

/** Splits off the last axis if all addresses step over single elements of `width` bytes along it: the length of a run. */
const run = (
  axes: ReadonlyArray<Axis>,
  width: number
): { readonly outer: ReadonlyArray<Axis>; readonly length: number } => {
  const last = axes.at(-1)
  return last !== undefined && last.steps.every((s) => s === width)
    ? { outer: axes.slice(0, -1), length: last.size }
    : { outer: axes, length: 1 }
}

/** Elements of up to 4 bytes as they are. */
export const loadBits = (c: Code, width: number, offset = 0): Code =>
  c.load(width === 1 ? "i32.load8_u" : width === 2 ? "i32.load16_u" : "i32.load", offset)

/** Writes the low bytes of an i32. */
export const storeBits = (c: Code, width: number, offset = 0): Code =>
  c.store(width === 1 ? "i32.store8" : width === 2 ? "i32.store16" : "i32.store", offset)

/** Pieces into which a few bytes are cut. */
const pieces = [
  { bytes: 16, load: "v128.load", store: "v128.store" },
  { bytes: 8, load: "i64.load", store: "i64.store" },
  { bytes: 4, load: "i32.load", store: "i32.store" },
  { bytes: 2, load: "i32.load16_u", store: "i32.store16" },
  { bytes: 1, load: "i32.load8_u", store: "i32.store8" }
] as const

/** Copies bytes that stand together. */
export const copyRun = (c: Code, target: Local, source: Local, bytes: number): void => {
  if (bytes > 2048) {
    c.get(target).get(source).i32(bytes).copy()
    return
  }
  let at = 0
  let [to, from] = [target, source]
  if (bytes > 128) {
    const left = c.local("i32", "left")
    to = c.local("i32", "to")
    from = c.local("i32", "from")
    c.get(target).set(to).get(source).set(from).i32(Math.floor(bytes / 64)).set(left)
    c.loop((again) => {
      for (let k = 0; k < 64; k += 16) c.get(to).get(from).load("v128.load", k).store("v128.store", k)
      c.get(to).i32(64).op("i32.add").set(to).get(from).i32(64).op("i32.add").set(from)
      c.get(left).i32(1).op("i32.sub").tee(left).brIf(again)
    })
    at = Math.floor(bytes / 64) * 64
  }
  const rest = bytes - at
  let offset = 0
  for (const piece of pieces) {
    while (rest - offset >= piece.bytes) {
      c.get(to).get(from).load(piece.load, offset).store(piece.store, offset)
      offset += piece.bytes
    }
  }
}

/** Copies elements of `width` bytes; the addresses are [target, source]. */
export const copyBlock = (
  c: Code,
  axes: ReadonlyArray<Axis>,
  [target, source]: readonly [Local, Local],
  width: number
): void => {
  const { length, outer } = run(merged(axes), width)
  if (length === 0) return
  walk(c, outer, [target, source], () => copyRun(c, target, source, length * width))
}

/** Fills elements of `width` bytes at one address with the low bytes of `bits`, which is pushed by `push`. */
export const fillBlock = (c: Code, axes: ReadonlyArray<Axis>, target: Local, width: number, push: () => void): void => {
  walk(c, merged(axes), [target], () => {
    c.get(target)
    push()
    storeBits(c, width)
  })
}

/** Fills many elements that stand together. */
export const fillRun = (c: Code, target: Local, count: number, width: number, push: () => void): void => {
  const vectors = Math.floor(count * width / 16)
  const to = c.local("i32", "to")
  c.get(target).set(to)
  if (vectors > 0) {
    const filler = c.local("v128", "filler")
    const left = c.local("i32", "left")
    push()
    c.op(width === 1 ? "i8x16.splat" : width === 2 ? "i16x8.splat" : "i32x4.splat").set(filler).i32(vectors).set(left)
    c.loop((again) => {
      c.get(to).get(filler).store("v128.store").get(to).i32(16).op("i32.add").set(to)
      c.get(left).i32(1).op("i32.sub").tee(left).brIf(again)
    })
  }
  for (let k = 0; k < count - vectors * 16 / width; k++) {
    c.get(to)
    push()
    storeBits(c, width, k * width)
  }
}

/**
 * Visits elements of 4 bytes as vectors where they are neighbours for all addresses, singly otherwise.
 */
export const visit = (
  c: Code,
  axes: ReadonlyArray<Axis>,
  moving: ReadonlyArray<Local>,
  vector: () => void,
  single: () => void
): void => {
  const { length, outer } = run(merged(axes), 4)
  if (length === 0) return
  const vectors = Math.floor(length / 4)
  const ones = length - vectors * 4
  if (vectors === 0) {
    walk(c, merged(axes), moving, single)
    return
  }
  walk(c, outer, moving, () => {
    walk(c, [{ size: vectors, steps: moving.map(() => 16) }], moving, vector)
    if (ones === 0) return
    const shift = (bytes: number) => moving.forEach((m) => c.get(m).i32(bytes).op("i32.add").set(m))
    shift(vectors * 16)
    walk(c, [{ size: ones, steps: moving.map(() => 4) }], moving, single)
    shift(-vectors * 16)
  })
}
