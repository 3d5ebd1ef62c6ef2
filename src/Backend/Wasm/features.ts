/** What the engine offers beyond 128-bit SIMD, found out by asking it. */
import { Code, Module } from "./assembler/index.ts"
import type { Features } from "./emission.ts"

/** Does the engine know relaxed SIMD? */
const hasRelaxed = (): boolean => {
  const module = new Module({ shared: false, initial: 1, maximum: 1 })
  const c = new Code([["x", "v128"]], ["v128"])
  const [x] = c.params
  module.add("madd", c.get(x).get(x).get(x).op("f32x4.relaxed_madd"))
  return WebAssembly.validate(module.bytes())
}

/** Is relaxed multiply-add rounded once? (1 + 2⁻¹²)² - (1 + 2⁻¹¹) is 2⁻²⁴ then, and else 0. */
const isFused = (): boolean => {
  const module = new Module({ shared: false, initial: 0, maximum: 1 })
  const c = new Code([["a", "f32"], ["b", "f32"]], ["f32"])
  const [a, b] = c.params
  for (const x of [a, a, b]) c.get(x).op("f32x4.splat")
  module.add("madd", c.op("f32x4.relaxed_madd").lane("f32x4.extract_lane", 0), { exported: true })
  const memory = new WebAssembly.Memory({ initial: 0, maximum: 1 })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.bytes()), { env: { memory } })
  const madd = exports.madd as (a: number, b: number) => number
  return madd(1 + 2 ** -12, -1 - 2 ** -11) === 2 ** -24
}

/** Was Node started with V8's flag that joins pairs of vectors? */
const hasWide = (): boolean => {
  const { process } = globalThis as { readonly process?: { readonly execArgv?: ReadonlyArray<string> } }
  return process?.execArgv?.includes("--experimental-wasm-revectorize") ?? false
}

/** The features of this engine. */
export const features = (): Features => {
  const relaxed = hasRelaxed()
  return { relaxed, fused: relaxed && isFused(), wide: hasWide() }
}
