import { Effect, pipe, type Schema } from "effect"
import { expect, it } from "tstyche"
import * as GraphDef from "../src/GraphDef/index.ts"
import type { Any as AnyVariable } from "../src/Ref/Variable.ts"
import * as Variable from "../src/Ref/Variable.ts"
import type { FilterError } from "../src/State/errors.ts"
import { Filter, type State, type StateOf } from "../src/State/index.ts"
import type { Tensor } from "../src/Tensor/Tensor.ts"
import { BatchNorm, Chain, type Net, type Stack } from "./models.ts"

declare const net: GraphDef.GraphDef<Net>
declare const netState: StateOf<Net>
declare const stack: GraphDef.PureState<Stack>
declare const chain: GraphDef.PureState<Chain>
declare const x: Tensor

declare const model: Net
const all = GraphDef.variables(model)
const params = GraphDef.variables(model, Variable.Param)
const two = GraphDef.variables(model, Variable.Param, Variable.RngState)

type Live = State<AnyVariable>
type Ok<E> = E extends Effect.Effect<infer A, infer _E, infer _R> ? A : never
type CallError = GraphDef.StructureError | GraphDef.AliasError

it("knows the methods of a model taken apart, and gives its new state beside their results", () => {
  expect(GraphDef.call(net, netState).dense.forward(x)).type.toBe<
    Effect.Effect<[out: Tensor, pure: GraphDef.PureState<Net>], CallError>
  >()
  expect(net.apply(netState).dense.forward(x)).type.toBe<
    Effect.Effect<[out: Tensor, pure: GraphDef.PureState<Net>], CallError>
  >()
  expect(GraphDef.call(stack).blocks[0].norm.activation(x)).type.toBe<
    Effect.Effect<[out: Tensor, pure: GraphDef.PureState<Stack>], CallError>
  >()
  expect(GraphDef.call(chain).next.next.next).type.not.toRaiseError()
})

it("refuses what is no method, and wrong arguments", () => {
  expect(GraphDef.call(stack).heads.left.forward).type.not.toBeCallableWith("x")
  expect(GraphDef.call(stack).heads).type.not.toHaveProperty("middle")
  // @ts-expect-error This expression is not callable.
  GraphDef.call(stack).heads.left(x)
})

it("keeps the type of what an update context wraps", () => {
  const inTag = GraphDef.updateContext("tag")
  const f = inTag(<A>(a: A, n: number) => Effect.as(Effect.fail(n), a))
  expect(f("a" as const, 1)).type.toBe<Effect.Effect<"a", number>>()
  expect(pipe(Effect.succeed(1), inTag)).type.toBe<Effect.Effect<number>>()
  expect(GraphDef.updateContext("tag", (context) => Effect.succeed(context.tag))).type.toBe<Effect.Effect<string>>()
  expect(GraphDef.currentUpdateContext("tag")).type.toBe<
    Effect.Effect<GraphDef.UpdateContext, GraphDef.UpdateContextError>
  >()
  expect(inTag).type.not.toBeCallableWith(1)
})

it("gives one State of live Variables for no or one filter, a tuple for more", () => {
  expect<Ok<typeof all>["dense"]["kernel"]>().type.toBe<Net["dense"]["kernel"]>()
  expect<keyof Ok<typeof params>>().type.toBe<keyof Live | "dense">()
  expect<Ok<typeof two>[1]["dropout"]["key"]>().type.toBe<Net["dropout"]["key"]>()
  expect<Ok<typeof two>[0]>().type.not.toHaveProperty("dropout")
  expect(GraphDef.variables(model, Filter.where(() => true))).type.toBe<Effect.Effect<Live, FilterError>>()
})

it("registers classes with protocols of their own type", () => {
  class Range {
    readonly low = 1
  }
  expect(GraphDef.registerPytreeNodeType).type.toBeCallableWith(Range, {
    flatten: (r: Range) => ({ keys: ["low"], values: [r.low] }),
    unflatten: () => new Range()
  })
  expect(GraphDef.registerPytreeNodeType).type.not.toBeCallableWith(Range, {
    flatten: () => ({ keys: [], values: [] })
  })
  expect(GraphDef.isNodeType).type.toBeCallableWith(BatchNorm)
})

it("codes GraphDefs of a type", () => {
  expect(GraphDef.codec<Net>({ classes: { BatchNorm, Chain } })).type.toBe<
    Schema.Codec<GraphDef.GraphDef<Net>, GraphDef.StoredGraphDef>
  >()
})
