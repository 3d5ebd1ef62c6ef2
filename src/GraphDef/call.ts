/**
 * `call`: methods of a model that is only there as a GraphDef and a State. The method runs on a new model, and its
 * result comes with the GraphDef and the State after it: `merge`, the method, `split`, in one.
 */
import * as Effect from "effect/Effect"
import type { StateOf } from "../State/types.ts"
import { attemptWith } from "../Tensor/attempt.ts"
import * as Tree from "../Tensor/Tree.ts"
import { type AliasError, StructureError } from "./errors.ts"
import { flatten } from "./flatten.ts"
import type { StateLike } from "./gather.ts"
import type { GraphDef } from "./GraphDef.ts"
import { isMergeError, mergeWith, splitFlat } from "./split.ts"

/** A model taken apart: what `split` without filters gives. */
export type PureState<A> = [graphdef: GraphDef<A>, state: StateOf<A>]

type Called<Root, Out> = Out extends Effect.Effect<infer B, infer E, infer R>
  ? Effect.Effect<[out: B, pure: PureState<Root>], E | StructureError | AliasError, R>
  : Effect.Effect<[out: Out, pure: PureState<Root>], StructureError | AliasError>

type Method<Root, F> = F extends (...args: infer Args) => infer Out ? (...args: Args) => Called<Root, Out> : unknown

/** What stands at an attribute: something to call, or something with methods further down. */
type Attribute<Root, A> = A extends (...args: never) => unknown ? Method<Root, A>
  : A extends Effect.Effect<unknown, unknown, unknown> ? () => Called<Root, A>
  : Caller<Root, A>

/** Attributes and positions of a value, without those that libraries use for themselves. */
type Names<A> = A extends ReadonlyArray<unknown> ? number & keyof A : Exclude<keyof A, symbol | `~${string}` | "pipe">

/**
 * The methods of an `A` that is part of a `Root`, each with the Root's new state beside its result. The value itself is
 * called as its `apply` is; attributes and positions lead to methods further down; an attribute that is an Effect is run
 * by a call without arguments.
 *
 * @category models
 * @since 0.1.0
 */
export type Caller<Root, A = Root> =
  & (A extends { readonly apply: infer F } ? Method<Root, F> : unknown)
  & { readonly [P in Names<A>]: Attribute<Root, NonNullable<A[P]>> }

/**
 * A proxy with the methods of the model that a GraphDef and its States describe. A call gives the result together with
 * the new GraphDef and State; what was given stays as it is. Equal to `merge`, the method, and `split`.
 *
 * Takes the GraphDef and its States, or the tuple that `split` gives. Fails with a `StructureError` if the States do not
 * fit, or if there is no such method.
 *
 * ```ts import.meta.vitest
 * import { Effect, Ref } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const Count = nnx.kind("Count")
 * class Counter extends nnx.Module("Counter")<{ readonly count: nnx.Variable<"Count", nnx.Tensor.Tensor> }> {
 *   increment() {
 *     return Ref.update(this.count, (n) => n.add(1))
 *   }
 * }
 * const counter = () => new Counter({ count: Count.makeUnsafe(nnx.Tensor.array(0)) })
 *
 * const program = Effect.gen(function*() {
 *   const pure = yield* nnx.split({ a: counter(), b: counter() })
 *   const [, after] = yield* nnx.call(pure).b.increment()
 *   const counts = [after[1].a, after[1].b, pure[1].b].map(({ count }) => nnx.Tensor.item(count.value))
 *   return yield* Effect.all(counts)
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => [ 0, 1, 0 ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const call: {
  <A>(pure: readonly [graphdef: GraphDef<A>, ...states: ReadonlyArray<StateLike>]): Caller<A>
  <A>(graphdef: GraphDef<A>, ...states: ReadonlyArray<StateLike>): Caller<A>
} = <A>(
  first: GraphDef<A> | readonly [GraphDef<A>, ...ReadonlyArray<StateLike>],
  ...others: ReadonlyArray<StateLike>
) => {
  const [graphdef, states] = isPair(first) ? [first[0], first.slice(1) as ReadonlyArray<StateLike>] : [first, others]
  return proxy(graphdef, states, []) as Caller<A>
}

const isPair = <A>(u: GraphDef<A> | readonly [GraphDef<A>, ...ReadonlyArray<StateLike>]): u is readonly [
  GraphDef<A>,
  ...ReadonlyArray<StateLike>
] => Array.isArray(u)

const proxy = (graphdef: GraphDef<unknown>, states: ReadonlyArray<StateLike>, path: ReadonlyArray<string>): unknown =>
  new Proxy(() => undefined, {
    // A proxy is no promise, no iterable and no Effect.
    get: (_, key) => typeof key === "symbol" || key === "then" ? undefined : proxy(graphdef, states, [...path, key]),
    apply: (_, __, args: ReadonlyArray<unknown>) => run(graphdef, states, path, args)
  })

const run = (
  graphdef: GraphDef<unknown>,
  states: ReadonlyArray<StateLike>,
  path: ReadonlyArray<string>,
  args: ReadonlyArray<unknown>
): Effect.Effect<unknown, unknown, unknown> =>
  Effect.flatMap(
    attemptWith(isMergeError, () => {
      const root = mergeWith(graphdef, states, { operation: "call" }).value
      return { root, out: invoke(root, path, args) }
    }),
    ({ out, root }) =>
      Effect.map(Effect.isEffect(out) ? out : Effect.succeed(out), (value) => [value, splitFlat(flatten(root), [])])
  )

/** Follows a path to a function, an Effect, or something with an `apply`. */
const invoke = (root: unknown, path: ReadonlyArray<string>, args: ReadonlyArray<unknown>): unknown => {
  let [holder, at]: [unknown, unknown] = [undefined, root]
  path.forEach((key, i) => {
    if (at === undefined || at === null) throw noMethod(path.slice(0, i + 1), "nothing")
    holder = at
    at = (at as Readonly<Record<string, unknown>>)[key]
  })
  if (typeof at === "function") return Reflect.apply(at, holder, args)
  if (Effect.isEffect(at)) return at
  const apply = at === undefined || at === null ? undefined : (at as { readonly apply?: unknown }).apply
  if (typeof apply === "function") return Reflect.apply(apply, at, args)
  throw noMethod(path, at === undefined ? "nothing" : Tree.isPlainObject(at) ? "a plain object" : String(at))
}

const noMethod = (path: ReadonlyArray<string>, found: string): StructureError =>
  new StructureError({
    operation: "call",
    misfits: [{ path, expected: "a method, or a Module with `apply`", found }],
    hint: "name a method of the model, or of a part of it"
  })
