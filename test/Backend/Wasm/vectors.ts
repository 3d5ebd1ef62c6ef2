// Runs formulas of src/Backend/Wasm/math on arrays: a module with one function that applies a formula to vectors.
import { Code, Module } from "../../../src/Backend/Wasm/assembler/index.ts"
import { Constants, type Emission, type Features } from "../../../src/Backend/Wasm/emission.ts"
import { node, type Value } from "../../../src/Backend/Wasm/math/value.ts"
import { Writer } from "../../../src/Backend/Wasm/math/writer.ts"

/** Words of 32 bits. */
export type Words = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>

const constantsAt = 16
const dataAt = 65536

/** A formula as a function of arrays of one length; the result is given as bits. */
export const compileFormula = (
  formula: (...xs: ReadonlyArray<Value>) => Value,
  arity: number,
  features: Features = { relaxed: false, wide: false }
): (...xs: ReadonlyArray<Words>) => Int32Array<ArrayBuffer> => {
  const module = new Module({ shared: false, initial: 1, maximum: 65536 })
  const constants = new Constants()
  const emission: Emission = {
    module,
    features,
    constants,
    place: () => {
      throw new Error("formulas have no buffers")
    },
    scratch: () => {}
  }
  const code = new Code([["out", "i32"], ["end", "i32"], ["step", "i32"]])
  const [out, end, step] = code.params
  const base = code.local("i32", "constants")
  code.i32(constantsAt).set(base)
  const input = (k: number): Value =>
    node([], () => {
      code.get(out).i32(k + 1).get(step).op("i32.mul").op("i32.add").load("v128.load")
    }, { level: 1 })
  const result = formula(...Array.from({ length: arity }, (_, k) => input(k)))
  const writer = new Writer(code, emission, base)
  writer.evaluate([result], { level: 0 })
  code.while(out, end, 16, () => {
    writer.scope(() => {
      writer.evaluate([result])
      code.get(out)
      writer.get(result)
      code.store("v128.store")
    })
  })
  module.add("run", code, { exported: true })
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.bytes()), { env: { memory } })
  const run = instance.exports.run as (out: number, end: number, step: number) => void
  return (...xs) => {
    const length = xs[0].length
    const bytes = Math.ceil(length / 4) * 16
    const needed = dataAt + bytes * (arity + 1)
    if (memory.buffer.byteLength < needed) memory.grow(Math.ceil((needed - memory.buffer.byteLength) / 65536))
    new Int32Array(memory.buffer, constantsAt).set(constants.data())
    xs.forEach((x, k) => new Int32Array(memory.buffer, dataAt + bytes * (k + 1)).set(new Int32Array(x.buffer)))
    run(dataAt, dataAt + bytes, bytes)
    return new Int32Array(memory.buffer.slice(dataAt, dataAt + 4 * length))
  }
}
