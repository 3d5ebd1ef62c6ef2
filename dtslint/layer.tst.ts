import { Effect } from "effect"
import { expect, it } from "tstyche"
import * as GraphDef from "../src/GraphDef/index.ts"
import * as L from "../src/Layer/index.ts"
import { Module } from "../src/Ref/Module.ts"
import type { Rngs, RngStreamError } from "../src/Ref/Rngs.ts"
import { BatchStat, Cache, Param, RngState, type Variable } from "../src/Ref/Variable.ts"
import { Filter, type KindsOf, type VariableState } from "../src/State/index.ts"
import type { TensorError } from "../src/Tensor/errors.ts"
import type { Tensor } from "../src/Tensor/Tensor.ts"
import { grad, jit } from "../src/Transform/index.ts"

type Ok<E> = E extends Effect.Effect<infer A, infer _E, infer _R> ? A : never
type Parameter = Variable<"Param", Tensor>

class Block extends Module("Block")<{
  readonly linear: L.Linear
  readonly norm: L.BatchNorm
  readonly dropout: L.Dropout
  readonly out: L.Linear<false>
}> {}

declare const block: Block
declare const x: Tensor

it("a layer is made by an Effect that needs Rngs", () => {
  expect(L.Linear.make(2, 3)).type.toBe<Effect.Effect<L.Linear, RngStreamError | TensorError, Rngs>>()
  expect(L.Embed.make(2, 3)).type.toBe<Effect.Effect<L.Embed, RngStreamError | TensorError, Rngs>>()
})

it("a layer is applied by an Effect that needs nothing", () => {
  expect(block.linear.apply(x)).type.toBe<Effect.Effect<Tensor, TensorError>>()
  expect(block.dropout.apply(x, { deterministic: true })).type.toBe<Effect.Effect<Tensor, TensorError>>()
  // @ts-expect-error 'determinstic' does not exist in type 'DropoutCall'
  block.dropout.apply(x, { determinstic: true })
})

it("the type knows whether there is a bias", () => {
  expect<L.Linear["bias"]>().type.toBe<Parameter>()
  expect<Ok<ReturnType<typeof withoutBias>>["bias"]>().type.toBe<undefined>()
  expect<L.Linear<boolean>["bias"]>().type.toBe<Parameter | undefined>()
  expect<L.Linear>().type.toBeAssignableTo<L.Linear<boolean>>()
  expect<L.Linear<false>>().type.toBeAssignableTo<L.Linear<boolean>>()
  expect<L.Linear<false>>().type.not.toBeAssignableTo<L.Linear>()
  expect<L.LayerNorm<true, false>["bias"]>().type.toBe<undefined>()
  expect<L.LayerNorm["scale"]>().type.toBe<Parameter>()
  expect(L.Conv.make(1, 2, 3, { mask: x, useBias: false })).type.toBe<
    Effect.Effect<L.Conv<false, Tensor>, RngStreamError | TensorError, Rngs>
  >()
  expect(L.Linear.make(2, 3, { useBias: Math.random() > 0.5 })).type.toBe<
    Effect.Effect<L.Linear<boolean>, RngStreamError | TensorError, Rngs>
  >()
})

const withoutBias = () => L.Linear.make(2, 3, { useBias: false, dtype: "bfloat16" })

it("the compiler knows the kinds of layers", () => {
  expect<KindsOf<L.Linear>>().type.toBe<"Param">()
  expect<KindsOf<L.Conv>>().type.toBe<"Param">()
  expect<KindsOf<L.Conv<true, Tensor>>>().type.toBe<"Param" | "Array">()
  expect<KindsOf<L.BatchNorm>>().type.toBe<"Param" | "BatchStat">()
  expect<KindsOf<L.Dropout>>().type.toBe<"RngState/RngKey" | "RngState/RngCount">()
  expect<KindsOf<L.MultiHeadAttention>>().type.toBe<"Param" | "Cache" | "RngState/RngKey" | "RngState/RngCount">()
})

it("a split that leaves out dropout's stream names its kinds", () => {
  // @ts-expect-error NoFilterCovers<"RngState/RngKey" | "RngState/RngCount">
  GraphDef.split(block, Param, BatchStat)
  const parts = GraphDef.split(block, Param, BatchStat, RngState)
  type Parts = Ok<typeof parts>
  expect<Parts[1]["linear"]["bias"]>().type.toBe<VariableState<"Param", Tensor>>()
  expect<Parts[1]["out"]>().type.not.toHaveProperty("bias")
  expect<Parts[2]["norm"]["mean"]>().type.toBe<VariableState<"BatchStat", Tensor>>()
  expect(GraphDef.split(block, Param, Filter.rest)).type.not.toRaiseError()
})

it("attention has a cache", () => {
  type Attention = L.MultiHeadAttention
  const parts = (m: Attention) => GraphDef.split(m, Param, Cache, RngState)
  expect<Ok<ReturnType<typeof parts>>[2]["cachedKey"]>().type.toBe<VariableState<"Cache", Tensor> | undefined>()
})

it("gradients have the fields of the layer's parameters", () => {
  const slope = grad((m: Block, y: Tensor) => Effect.map(m.linear.apply(y), (z) => z.sum()))
  type Slope = Ok<ReturnType<typeof slope>>
  expect<Slope["linear"]["kernel"]>().type.toBe<VariableState<"Param", Tensor>>()
  expect<Slope>().type.not.toHaveProperty("dropout")
})

it("a Sequential knows its layers, and what making and running them may need", () => {
  const make = L.Sequential.make(L.Linear.make(2, 3), L.relu, block.norm)
  expect<Ok<typeof make>["layers"][0]>().type.toBe<L.Linear>()
  expect<Ok<typeof make>["layers"][2]>().type.toBe<L.BatchNorm>()
  expect<Effect.Services<typeof make>>().type.toBe<Rngs>()
  expect<Effect.Error<typeof make>>().type.toBe<RngStreamError | TensorError>()
  const fails = L.Sequential.make((y: Tensor) => Effect.as(Effect.fail("no" as const), y))
  expect<Ok<typeof fails>["apply"]>().type.toBe<(x: Tensor) => Effect.Effect<Tensor, "no" | TensorError>>()
  // @ts-expect-error is not assignable to parameter of type 'Part'
  L.Sequential.make("relu")
})

it("a view has the type of what it is a view of", () => {
  expect(L.evalMode(block)).type.toBe<Block>()
  expect(L.view(block, { momentum: 0.5 })).type.toBe<Effect.Effect<Block, GraphDef.StructureError>>()
})

it("jit takes and gives layers; making one inside needs Rngs, which is no service to it", () => {
  expect(jit((m: Block, y: Tensor) => m.linear.apply(y))).type.not.toRaiseError()
  expect(jit((n: number) => L.Linear.make(n, n))).type.not.toRaiseError()
})
