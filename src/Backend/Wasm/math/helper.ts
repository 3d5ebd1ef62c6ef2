/**
 * Functions of the module that several kernels call, for what is too long to stand in every loop, or is needed for few
 * elements: they take vectors and give one.
 */
import { type Callable, Code, type Local } from "../assembler/index.ts"
import type { Emission } from "../emission.ts"
import { held, node, type Value } from "./value.ts"
import { Writer } from "./writer.ts"

/** A function from vectors to a vector: a formula, or code that has the parameters in locals and leaves the result. */
export interface Helper {
  readonly name: string
  readonly arity: number
  readonly cost: number
  readonly formula?: (...args: ReadonlyArray<Value>) => Value
  readonly code?: (code: Code, params: ReadonlyArray<Local>, constants: Local, emission: Emission) => void
}

const callable = (emission: Emission, helper: Helper): Callable =>
  emission.module.once(helper.name, () => {
    const vectors = Array.from({ length: helper.arity }, (_, k) => [`x${k}`, "v128"] as const)
    const code = new Code([["constants", "i32"], ...vectors], ["v128"])
    const [constants, ...params] = code.params
    if (helper.formula !== undefined) {
      const result = helper.formula(...params.map((p) => held(p)))
      new Writer(code, emission, constants).evaluate([result]).get(result)
    }
    helper.code?.(code, params, constants, emission)
    return code
  })

/** Calls a helper for all lanes. */
export const call = (helper: Helper, ...args: ReadonlyArray<Value>): Value =>
  node([...args], ({ code, constants, emission, get }) => {
    code.get(constants)
    for (const arg of args) get(arg)
    code.call(callable(emission, helper))
  }, { structured: true, cost: helper.cost })

/** `usual`, but in the lanes of the mask what a helper gives, which is called only if there are any. */
export const rarely = (mask: Value, usual: Value, helper: Helper, ...args: ReadonlyArray<Value>): Value => {
  // All of them twice: so they are computed before the branch, and kept in locals.
  const inputs = [usual, mask, ...args]
  return node([...inputs, ...inputs], ({ code, constants, emission, get }) => {
    const result = code.local("v128")
    get(usual)
    code.set(result)
    get(mask)
    code.op("v128.any_true").if(() => {
      code.get(constants)
      for (const arg of args) get(arg)
      code.call(callable(emission, helper)).get(result)
      get(mask)
      code.op("v128.bitselect").set(result)
    })
    code.get(result)
  }, { structured: true, cost: 3 })
}

/** A scalar instruction on every lane of one or two vectors. */
export const lanewise = (
  name: string,
  arity: 1 | 2,
  scalar: (code: Code, params: ReadonlyArray<Local>) => void
): Helper => ({
  name,
  arity,
  cost: 16,
  code: (code, vectors) => {
    const scalars = vectors.map((v) => code.local("i32", `${v.name}_lane`))
    const result = code.local("v128", "result")
    for (let lane = 0; lane < 4; lane++) {
      vectors.forEach((v, k) => code.get(v).lane("i32x4.extract_lane", lane).set(scalars[k]))
      code.get(result)
      scalar(code, scalars)
      code.lane("i32x4.replace_lane", lane).set(result)
    }
    code.get(result)
  }
})
