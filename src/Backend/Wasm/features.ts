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

/** Was Node started with V8's flag that joins pairs of vectors? */
const hasWide = (): boolean => {
  const { process } = globalThis as { readonly process?: { readonly execArgv?: ReadonlyArray<string> } }
  return process?.execArgv?.includes("--experimental-wasm-revectorize") ?? false
}

/** The features of this engine. */
export const features = (): Features => ({ relaxed: hasRelaxed(), wide: hasWide() })
