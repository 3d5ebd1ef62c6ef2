import { Effect, pipe } from "effect"
import { expect, it } from "tstyche"
import * as GraphDef from "../src/GraphDef/index.ts"
import type { Module } from "../src/Ref/Module.ts"
import { BatchStat, type Kind, kind, Param, RngKey, RngState } from "../src/Ref/Variable.ts"
import { Filter, type KindsOf, type State, type VariableState } from "../src/State/index.ts"
import type { Tensor } from "../src/Tensor/Tensor.ts"
import type { Block, Chain, Net, Plain, Stack } from "./models.ts"

declare const net: Net
declare const make: () => Net
declare const block: Block
declare const stack: Stack
declare const chain: Chain
declare const plain: Plain

type Ok<E> = E extends Effect.Effect<infer A, infer _E, infer _R> ? A : never
type Snapshot<K> = VariableState<K, Tensor>

it("knows the kinds of a model", () => {
  expect<KindsOf<Net>>().type.toBe<"Param" | "RngState/RngKey">()
  expect<KindsOf<Stack>>().type.toBe<"Param" | "BatchStat">()
  expect<KindsOf<Plain>>().type.toBe<"Param" | "Array">()
})

it("knows the kinds of a model whose type holds itself", () => {
  expect<KindsOf<Chain>>().type.toBe<"Param">()
  expect(GraphDef.split(chain, Param)).type.not.toRaiseError()
})

it("names the uncovered kind", () => {
  // @ts-expect-error Argument of type 'Net' is not assignable to parameter of type 'Net & NoFilterCovers<"RngState/RngKey">'
  GraphDef.split(net, Param, BatchStat)
  // @ts-expect-error NoFilterCovers<"BatchStat">
  pipe(block, GraphDef.splitWith(Param, RngState))
  // @ts-expect-error NoFilterCovers<"Array">
  GraphDef.split(plain, Param)
})

it("accepts filters that cover everything", () => {
  expect(GraphDef.split(net, Param, RngState)).type.not.toRaiseError()
  expect(GraphDef.split(net, Param, RngKey)).type.not.toRaiseError()
  expect(GraphDef.split(net, Filter.anyOf(Param, RngState))).type.not.toRaiseError()
  expect(GraphDef.split(net, Param, Filter.not(Param))).type.not.toRaiseError()
  expect(GraphDef.split(net, Filter.everything)).type.not.toRaiseError()
  expect(GraphDef.split(plain, Param, Filter.arrays)).type.not.toRaiseError()
  expect(GraphDef.split(net)).type.not.toRaiseError()
})

it("does not count filters that only the running program can judge", () => {
  // @ts-expect-error NoFilterCovers<"RngState/RngKey">
  GraphDef.split(net, Param, Filter.where(() => true))
  // @ts-expect-error NoFilterCovers<"Param">
  GraphDef.split(block, BatchStat, Filter.allOf(Param, Filter.pathContains("linear")))
  // @ts-expect-error NoFilterCovers<"Param" | "RngState/RngKey">
  GraphDef.split(net, Filter.not(Filter.pathContains("dense")))
  const some: Kind<string> = kind("Param" as string)
  // @ts-expect-error NoFilterCovers<"Param" | "RngState/RngKey">
  GraphDef.split(net, some)
})

it("gives each filter the State of its kinds", () => {
  const parts = GraphDef.split(net, Param, RngState)
  type Parts = Ok<typeof parts>
  expect<Parts[0]>().type.toBe<GraphDef.GraphDef<Net>>()
  expect<Parts[1]["dense"]["kernel"]>().type.toBe<Snapshot<"Param">>()
  expect<Parts[1]["dense"]["bias"]>().type.toBe<Snapshot<"Param"> | undefined>()
  expect<Parts[2]["dropout"]["key"]>().type.toBe<Snapshot<"RngState/RngKey">>()
  expect<Parts[1]>().type.not.toHaveProperty("dropout")
  expect<Parts[2]>().type.not.toHaveProperty("dense")
  expect<Parts[1]>().type.toBeAssignableTo<State<unknown>>()
})

it("goes through arrays and plain objects", () => {
  const parts = GraphDef.split(stack, BatchStat, Filter.rest)
  type Parts = Ok<typeof parts>
  expect<Parts[1]["blocks"][0]["norm"]["mean"]>().type.toBe<Snapshot<"BatchStat">>()
  expect<Parts[2]["heads"]["left"]["kernel"]>().type.toBe<Snapshot<"Param">>()
  expect<Parts[1]>().type.not.toHaveProperty("heads")
  expect<Parts[2]>().type.not.toHaveProperty("sizes")
})

it("gives partial States after a filter that only the running program can judge", () => {
  const parts = GraphDef.split(net, Filter.pathContains("kernel"), Filter.rest)
  type Parts = Ok<typeof parts>
  type Dense = NonNullable<Parts[2]["dense"]>
  expect<Dense["bias"]>().type.toBe<Snapshot<"Param"> | undefined>()
})

it("rest takes what is left, in generic code too", () => {
  const f = <A extends Module>(model: A) => GraphDef.split(model, Param, BatchStat, Filter.rest)
  const parts = f(net)
  expect<Ok<typeof parts>[3]["dropout"]["key"]>().type.toBe<Snapshot<"RngState/RngKey">>()
})

it("rejects generic code without rest, which cannot be judged", () => {
  // @ts-expect-error is not assignable to parameter
  const f = <A extends Module>(model: A) => GraphDef.split(model, Param)
  expect(f).type.toBeCallableWith(net)
})

it("merge gives the model's type back", () => {
  const parts = GraphDef.split(net, Param, RngState)
  type Parts = Ok<typeof parts>
  const merge = (...[graphdef, params, rng]: Parts) => GraphDef.merge(graphdef, params, rng)
  expect<Ok<ReturnType<typeof merge>>>().type.toBe<Net>()
})

it("can be an argument of generic functions", () => {
  const merged = Effect.flatMap(
    GraphDef.split(net, Param, RngState),
    ([def, params, rng]) => GraphDef.merge(def, params, rng)
  )
  expect<Ok<typeof merged>>().type.toBe<Net>()
  const kernel = Effect.map(GraphDef.split(make(), Param, Filter.rest), ([, params]) => params.dense.kernel.value)
  expect<Ok<typeof kernel>>().type.toBe<Tensor>()
})

it("leaves lists of unknown length to the running program", () => {
  const filters: ReadonlyArray<Filter.Filter> = [Param]
  const parts = Effect.flip(Effect.flip(GraphDef.split(make(), ...filters)))
  expect<Ok<typeof parts>[1]["dense"]>().type.toBeAssignableTo<State<unknown> | undefined>()
})

it("state and pop need not cover everything", () => {
  const one = GraphDef.state(net, Param)
  expect<Ok<typeof one>["dense"]["kernel"]>().type.toBe<Snapshot<"Param">>()
  const two = GraphDef.state(net, RngState, Param)
  expect<Ok<typeof two>[1]["dense"]["kernel"]>().type.toBe<Snapshot<"Param">>()
  const all = GraphDef.state(net)
  expect<Ok<typeof all>["dropout"]["key"]>().type.toBe<Snapshot<"RngState/RngKey">>()
  expect(GraphDef.pop).type.not.toBeCallableWith(net)
})
