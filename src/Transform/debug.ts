/**
 * Looking at arrays while a Program runs. Like checks, these are effects that transforms interpret: they happen at
 * every run, not once when the function is traced.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Backend } from "../Backend/Backend.ts"
import { hostData } from "../Backend/read.ts"
import * as control from "../Program/control.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import { formatElements } from "../Tensor/print.ts"
import { fromHost, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import type { TransformError } from "./attempt.ts"

/** Arrays by name, as a callback gets them: on the host, and printable. */
export type DebugValues = Readonly<Record<string, Tensor>>

/**
 * Calls `f` with the values of arrays at every run, in order with other callbacks. Under `vmap` it is called for every
 * element; derivatives don't call it again.
 *
 * @category effects
 * @since 0.1.0
 */
export const callback = <T>(
  values: T,
  f: (values: T) => void
): Effect.Effect<void, TransformError, Backend> =>
  Effect.gen(function*() {
    const trace = yield* CurrentTrace
    const { leaves, structure } = Tree.flatten(values)
    if (trace === undefined) {
      const arrays: Array<Tensor> = []
      for (const x of leaves) arrays.push(fromHost(x.aval, yield* hostData(x)))
      return f(Tree.unflatten(structure, arrays) as T)
    }
    trace.emit(control.debugCallback({
      name: f.name || "callback",
      callback: (arrays) => f(Tree.unflatten(structure, arrays.map((x) => fromHost(x.aval, x.data))) as T)
    }, leaves))
  })

/**
 * Prints arrays at every run: `Debug.print("loss {loss}", { loss })`. `{name}` is replaced by the value of that name.
 *
 * Prints through Effect's Console of the fiber that traces.
 *
 * @category effects
 * @since 0.1.0
 */
export const print = (
  format: string,
  values: DebugValues = {}
): Effect.Effect<void, TransformError, Backend> =>
  Effect.flatMap(Console.Console, (console) =>
    callback(values, (arrays) =>
      console.log(
        format.replaceAll(
          /\{(\w+)\}/g,
          (whole, name: string) => Object.hasOwn(arrays, name) ? formatElements(arrays[name]) : whole
        )
      )))
