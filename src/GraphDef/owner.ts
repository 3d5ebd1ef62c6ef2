/**
 * Who may change what. Inside a trace only nodes and Variables that the trace made may change their structure: what
 * comes in as an argument is such a node, and its changes reach the outer object when the transform returns. Anything
 * else would be changed once, when traced, and never again.
 */
import { currentUnsafe, type Trace } from "../Program/Trace.ts"
import { hiddenOf, isModule } from "../Ref/Module.ts"
import { TraceError } from "../Tensor/errors.ts"

/** Throws a `TraceError` unless `owner` is the current trace. */
export const checkOwner = (operation: string, owner: Trace | undefined, what: string): void => {
  const trace = currentUnsafe()
  if (owner === trace) return
  throw new TraceError({
    transform: trace === undefined ? "outside of a trace" : trace.scope.transform,
    reason: `${operation} changes ${what} that was made elsewhere`,
    hint: "pass the model to the traced function as an argument, or change it outside"
  })
}

/** Throws a `TraceError` unless a node was made by the current trace. Nodes that are not Modules do not tell. */
export const checkNode = (operation: string, node: object): void => {
  if (isModule(node)) checkOwner(operation, hiddenOf(node).owner, "the fields of a Module")
}
