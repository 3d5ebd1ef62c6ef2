/**
 * Which tile is best on this engine, found out by trying, and whether the kernels can be trusted. Wide tiles are twice
 * as fast where V8 joins pairs of vectors, which is an experiment of V8's, and slower where it does not.
 */
import { Code, Module } from "../assembler/index.ts"
import { Constants, type Emission, type Features, slots } from "../emission.ts"
import type { Buffer, Dot } from "../ir.ts"
import { emitDot } from "./dot.ts"

/** Sizes of a product that has whole tiles, edges, and more than one block of k. */
const mixed = [13, 47, 390] as const
/** Sizes of one that is quickly written and done. */
const few = [4, 8, 9] as const
/** A product of this size is timed: some microseconds of work. */
const timed = [32, 64, 128] as const
/** Milliseconds that the engine gets to optimise both kernels. */
const patience = 80
/** How much faster wide tiles must be. */
const worthwhile = 1.2
/** The largest difference between sums that are rounded differently; they are sums of few products below 1/4. */
const tolerance = 1e-4

type Sizes = readonly [m: number, n: number, k: number]

/** What lies where in the memory of a trial, in bytes; the frame is at 0. */
const places = { x: 0x1000, y: 0x10000, out: 0x80000, scratch: 0x90000 } as const
const pages = 32

interface Trial {
  readonly run: () => void
  readonly result: Float32Array
}

/** A product of pseudorandom numbers, in a module of its own. */
const trial = (features: Features, [m, n, k]: Sizes): Trial => {
  const buffer = (name: string, size: number): Buffer => ({ dtype: "float32", size, name })
  const [x, y, out] = [buffer("x", m * k), buffer("y", k * n), buffer("out", m * n)]
  const offsets = new Map([[x, places.x], [y, places.y], [out, places.out]])
  const module = new Module({ shared: false, initial: pages, maximum: pages })
  const emission: Emission = {
    module,
    features,
    constants: new Constants(),
    place: (b) => ({ slot: slots.arena, offset: offsets.get(b) ?? 0 }),
    scratch: () => {}
  }
  const dot: Dot = {
    _tag: "Dot",
    name: "trial",
    batch: [],
    m,
    n,
    k,
    x: { buffer: x, offset: 0, batch: [], row: k, column: 1 },
    y: { buffer: y, offset: 0, batch: [], row: n, column: 1 },
    out,
    epilogue: []
  }
  const { run, units } = emitDot(emission, dot)
  module.add("main", new Code([]).i32(0).i32(0).i32(units).call(run), { exported: true })
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  new Int32Array(memory.buffer)[slots.scratch] = places.scratch
  for (const [at, size] of [[places.x, x.size], [places.y, y.size]]) {
    // The fractional parts of multiples of the golden ratio.
    const numbers = new Float32Array(memory.buffer, at, size)
    for (let i = 0; i < size; i++) numbers[i] = (i * 0.618033988749895) % 1 - 0.5
  }
  const { main } = new WebAssembly.Instance(new WebAssembly.Module(module.bytes()), { env: { memory } }).exports
  return {
    run: () => {
      if (typeof main === "function") main()
    },
    result: new Float32Array(memory.buffer, places.out, m * n)
  }
}

/** Do two kinds of kernels give the same, but for so much? */
const agree = (x: Features, y: Features, sizes: Sizes, difference: number): boolean => {
  const [a, b] = [trial(x, sizes), trial(y, sizes)]
  a.run()
  b.run()
  return a.result.every((v, i) => Math.abs(v - b.result[i]) <= difference)
}

/** Are wide tiles faster, and are their results the same to the last bit, when V8 has optimised them? */
const isWide = (features: Features): boolean => {
  const [narrow, wide] = [trial({ ...features, wide: false }, timed), trial({ ...features, wide: true }, timed)]
  const milliseconds = ({ run }: Trial): number => {
    const start = performance.now()
    for (let i = 0; i < 8; i++) run()
    return performance.now() - start
  }
  const end = performance.now() + patience
  let [slow, fast] = [Infinity, Infinity]
  while (performance.now() < end) {
    slow = Math.min(slow, milliseconds(narrow))
    fast = Math.min(fast, milliseconds(wide))
  }
  return slow > worthwhile * fast && narrow.result.every((v, i) => v === wide.result[i]) &&
    agree({ ...features, wide: false }, { ...features, wide: true }, mixed, 0)
}

/**
 * The features that can be relied upon, of those that the engine seems to have. Takes some milliseconds, and with
 * `wide` as long as it takes until the engine has optimised the kernels.
 */
export const verified = (claimed: Features): Features => {
  const plain = { relaxed: false, wide: false }
  const relaxed = claimed.relaxed && agree(plain, { relaxed: true, wide: false }, few, tolerance)
  const narrow = { relaxed, fused: relaxed && claimed.fused === true, wide: false }
  return { ...narrow, wide: claimed.wide && isWide({ ...narrow, wide: true }) }
}
