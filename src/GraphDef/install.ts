/**
 * Puts `apply` on GraphDefs: `graphdef.apply(state).method(x)` is `call(graphdef, state).method(x)`. `index.ts` imports
 * this file for its effect.
 */
import { call } from "./call.ts"
import type { StateLike } from "./gather.ts"
import { type Any, proto } from "./GraphDef.ts"

Object.defineProperty(proto, "apply", {
  value(this: Any, ...states: ReadonlyArray<StateLike>): unknown {
    return call(this, ...states)
  }
})
