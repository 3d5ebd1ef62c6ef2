/**
 * The in-register peak: how fast V8 multiplies and adds when all operands are in registers, which no kernel can beat.
 */
import { Code, Module } from "../src/Backend/Wasm/assembler/index.ts"

/** Iterations of a call; calls for warming up, and rounds. */
const loops = { iterations: 20_000, warm: 200, rounds: 40 }

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

const measure = (count: number, relaxed: boolean): number => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  const module = new Module({ shared: false, initial: 1, maximum: 1 })
  module.add("run", multiplyAndAdd(count, relaxed), { exported: true })
  const bytes = module.bytes()
  if (!WebAssembly.validate(bytes)) return 0
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } })
  const run = exports["run"] as (end: number) => void
  for (let i = 0; i < loops.warm; i++) run(loops.iterations)
  const times = Array.from({ length: loops.rounds }, () => {
    const start = performance.now()
    run(loops.iterations)
    return performance.now() - start
  })
  return loops.iterations * count * 4 * 2 / Math.min(...times) / 1e6
}

/** In GFLOP/s, the best of several numbers of sums, and of fused and separate multiplication and addition. */
export const inRegisterPeak = (): number =>
  Math.max(...accumulators.flatMap((count) => [measure(count, true), measure(count, false)]))
