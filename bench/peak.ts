/**
 * The in-register peak: how fast V8 multiplies and adds when all operands are in registers, which no kernel can beat.
 * It is timed as workloads are, in turns with those that are compared with it: what slows one down slows the other.
 */
import { Code, Module } from "../src/Backend/Wasm/assembler/index.ts"
import { median } from "./median.ts"

/** Vectors that a call multiplies and adds: of whole iterations, whatever the number of sums. */
const vectors = 480_000

/** Floating-point operations of a call. */
export const flops = vectors * 4 * 2

/** Calls of each loop before the fastest is chosen: for warming up, and timed. */
const trial = { warm: 100, timed: 40 }

/** What takes so many times as long at most is as fast. */
const asFast = 1.1

/** How many sums that do not wait for each other: enough to hide the latency, few enough to fit into registers. */
const accumulators = [12, 24]

/**
 * sum[i] = sum[i] * factor + sum[i], again and again. The sums come from memory and go back there in pairs of
 * neighbours, so that a V8 that joins pairs of vectors joins these.
 */
const multiplyAndAdd = (count: number, relaxed: boolean): Code => {
  const code = new Code([["end", "i32"]])
  const [end] = code.params
  const i = code.local("i32", "i")
  const factors = [code.local("v128", "low"), code.local("v128", "high")]
  const sums = Array.from({ length: count }, (_, k) => code.local("v128", `sum${k}`))
  const address = code.local("i32", "address")
  factors.forEach((factor, k) => code.get(address).load("v128.load", 1024 + 16 * k).set(factor))
  sums.forEach((sum, k) => code.get(address).load("v128.load", 16 * k).set(sum))
  code.while(i, end, 1, () => {
    sums.forEach((sum, k) => {
      if (relaxed) code.get(sum).get(factors[k % 2]).get(sum).op("f32x4.relaxed_madd").set(sum)
      else code.get(sum).get(factors[k % 2]).op("f32x4.mul").get(sum).op("f32x4.add").set(sum)
    })
  })
  sums.forEach((sum, k) => code.get(address).get(sum).store("v128.store", 16 * k))
  return code
}

/** A function that makes so many calls of the loop; undefined if V8 does not know the operation. */
const loop = (count: number, relaxed: boolean): ((times: number) => void) | undefined => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  const module = new Module({ shared: false, initial: 1, maximum: 1 })
  module.add("run", multiplyAndAdd(count, relaxed), { exported: true })
  const bytes = module.bytes()
  if (!WebAssembly.validate(bytes)) return undefined
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } })
  const run = exports["run"] as (end: number) => void
  return (times) => {
    for (let i = 0; i < times; i++) run(vectors / count)
  }
}

/**
 * The fastest of loops with several numbers of sums, and with fused and separate multiplication and addition. Separate
 * ones are as fast while a core does nothing else, but need twice the instructions: fused ones stand first.
 */
export const fastestLoop = (): (times: number) => void => {
  const loops = [true, false].flatMap((relaxed) => accumulators.map((count) => loop(count, relaxed)))
    .filter((run) => run !== undefined)
  for (const run of loops) run(trial.warm)
  const times = loops.map(() => new Array<number>())
  for (let i = 0; i < trial.timed; i++) {
    loops.forEach((run, k) => {
      const start = performance.now()
      run(1)
      times[k].push(performance.now() - start)
    })
  }
  return loops[fastest(times)]
}

/** Which has the least median, or is first among those that are as fast. */
export const fastest = (times: ReadonlyArray<ReadonlyArray<number>>): number => {
  const medians = times.map(median)
  return medians.findIndex((ms) => ms <= asFast * Math.min(...medians))
}
