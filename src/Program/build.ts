/**
 * From Tensors to a Program: walks back from the outputs to where arrays enter, and writes the equations in the order
 * in which the user made them.
 *
 * Arrays enter as arguments of the trace, as constants (literals), or as *captures*: computed arrays, arrays of an
 * outer trace, and pending arrays made before the trace began. Captures become the first inputs of the Program.
 */
import { ConcretizationError, TraceError, TracerLeakError } from "../Tensor/errors.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { argument, type Node, type Tensor, type TraceScope, traceScope } from "../Tensor/Tensor.ts"
import type { Emit } from "./Primitive.ts"
import { type Atom, type Equation, literal, make, type Program, type Var, variable } from "./Program.ts"

/** A Program with the arrays that its first inputs stand for. */
export interface Closed {
  readonly program: Program
  readonly captures: ReadonlyArray<Tensor>
}

/** What to build. */
export interface Request {
  readonly outputs: ReadonlyArray<Tensor>
  /** Become the inputs, after the captures, in this order, used or not. */
  readonly arguments: ReadonlyArray<Tensor>
  /** Nodes that are kept for their effect. */
  readonly effects?: ReadonlyArray<Node>
  /** The trace that the arguments belong to; without it, pending arrays are followed to their ends. */
  readonly scope?: TraceScope
  /**
   * Only what depends on an argument becomes an equation; the rest is captured where it is met (*residuals*), but for
   * constants made of nothing, such as zeros and iotas. This is partial evaluation.
   */
  readonly residuals?: boolean
}

/** Fails when an array cannot enter a Program: an argument of a trace that is over, or (with no scope) of any trace. */
const checkArgument = (x: Tensor, scope: TraceScope | undefined): void => {
  if (x.source._tag !== "Argument") return
  const owner = x.source.scope
  const array = ShapedArray.format(x.aval)
  if (owner.finished) throw new TracerLeakError({ transform: owner.transform, array })
  if (scope === undefined) throw new ConcretizationError({ transform: owner.transform, array })
}

/** The pending nodes made in the scope that depend on something, but on no argument. */
const knownNodes = (request: Request): ReadonlySet<Node> => {
  const start = request.scope === undefined ? 0 : request.scope.start
  const own = new Set(request.arguments)
  const reached = new Set<Node>()
  const stack: Array<Tensor> = [...request.outputs]
  for (let x = stack.pop(); x !== undefined; x = stack.pop()) {
    if (own.has(x) || x.source._tag !== "Pending") continue
    const node = x.source.node
    if (node.serial < start || reached.has(node)) continue
    reached.add(node)
    stack.push(...node.inputs)
  }
  const dependent = new Set<Node>()
  const known = new Set<Node>()
  for (const node of [...reached].toSorted((a, b) => a.serial - b.serial)) {
    const from = (x: Tensor, set: ReadonlySet<Node>) => x.source._tag === "Pending" && set.has(x.source.node)
    if (node.inputs.some((x) => own.has(x) || from(x, dependent))) {
      dependent.add(node)
    } else if (
      node.inputs.some((x) =>
        from(x, known) || x.source._tag === "Concrete" || x.source._tag === "Argument" ||
        (x.source._tag === "Pending" && !reached.has(x.source.node))
      )
    ) known.add(node)
  }
  return known
}

/**
 * Builds a Program. Equations stand in creation order; only what outputs and effects need is written, each pending node
 * once.
 *
 * Fails with `TracerLeakError` or `ConcretizationError` where an argument of another trace is reached.
 */
export const build = (request: Request): Closed => {
  const { scope } = request
  const own = new Set(request.arguments)
  const nodes = new Set<Node>()
  const captures = new Set<Tensor>()
  const known = request.residuals === true ? knownNodes(request) : undefined
  const enters = (x: Tensor): boolean =>
    x.source._tag !== "Pending" || (scope !== undefined && x.source.node.serial < scope.start) ||
    (known !== undefined && known.has(x.source.node))
  const stack: Array<Node> = []
  const visit = (x: Tensor): void => {
    if (own.has(x) || x.source._tag === "Literal") return
    if (enters(x)) {
      checkArgument(x, scope)
      captures.add(x)
      return
    }
    if (x.source._tag === "Pending" && !nodes.has(x.source.node)) {
      nodes.add(x.source.node)
      stack.push(x.source.node)
    }
  }
  for (const x of request.outputs) visit(x)
  for (const node of request.effects ?? []) {
    if (!nodes.has(node)) {
      nodes.add(node)
      stack.push(node)
    }
  }
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) for (const x of node.inputs) visit(x)

  const env = new Map<Tensor, Atom>()
  const bindVar = (x: Tensor): Var => {
    const v = variable(x.aval)
    env.set(x, v)
    return v
  }
  const captured = [...captures]
  const inputs = [...captured, ...request.arguments].map(bindVar)
  const atom = (x: Tensor): Atom => {
    const bound = env.get(x)
    if (bound !== undefined) return bound
    const constant = literal(x.source._tag === "Literal" ? x.source.value : Number.NaN, x.aval)
    env.set(x, constant)
    return constant
  }
  const equations = [...nodes].toSorted((a, b) => a.serial - b.serial).map((node) => equation(node, atom, bindVar))
  return { program: make(inputs, equations, request.outputs.map(atom)), captures: captured }
}

/**
 * Traces a function of Tensors, made by an interpreter and not by a user, to a Program without captures. Effectful
 * nodes handed to `emit` are kept.
 */
export const closedProgram = (
  transform: string,
  avals: ReadonlyArray<ShapedArray.ShapedArray>,
  f: (args: ReadonlyArray<Tensor>, emit: Emit) => ReadonlyArray<Tensor>
): Program => {
  const scope = traceScope(transform)
  const args = avals.map((aval) => argument(aval, scope))
  const effects: Array<Node> = []
  const outputs = f(args, (node) => effects.push(node))
  const { captures, program } = build({ outputs, arguments: args, effects, scope })
  scope.finished = true
  if (captures.length > 0) {
    throw new TraceError({
      transform,
      reason: `a rule captured ${captures.map((x) => ShapedArray.format(x.aval)).join(", ")}`,
      hint: "this is a defect in a rule: please report it"
    })
  }
  return program
}

/**
 * The one place where a node becomes an equation. Nodes are untyped (`Tensor` knows no primitives); every node was made
 * by a function of `lax/` or `control.ts`, whose parameters have the primitive's type, and that is what the cast says.
 */
const equation = (node: Node, atom: (x: Tensor) => Atom, bindVar: (x: Tensor) => Var): Equation =>
  ({
    primitive: node.primitive,
    params: node.params,
    inputs: node.inputs.map(atom),
    outputs: node.outputs.map(bindVar)
  }) as Equation
