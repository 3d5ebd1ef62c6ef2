import { Effect } from "effect"
import { expect, it } from "tstyche"
import * as GraphDef from "../src/GraphDef/index.ts"
import {
  Accuracy,
  adam,
  adamw,
  Average,
  chain,
  clip,
  type EmptyState,
  type GradientTransformation,
  identity,
  injectHyperparams,
  MultiMetric,
  multiSteps,
  namedChain,
  Optimizer,
  scaleByAdam,
  sgd,
  type Statistics,
  trace,
  type TraceState,
  Welford
} from "../src/Optimizer/index.ts"
import { BatchStat, type Kind, OptState, Param, type Variable } from "../src/Ref/Variable.ts"
import { Filter } from "../src/State/index.ts"
import type { Tensor } from "../src/Tensor/Tensor.ts"
import { grad } from "../src/Transform/autodiff.ts"
import { jit } from "../src/Transform/jit.ts"
import type { Block, Net } from "./models.ts"

declare const net: Net
declare const block: Block
declare const loss: (model: Block) => Effect.Effect<Tensor>
declare const netLoss: (model: Net) => Effect.Effect<Tensor>
declare const x: Tensor

type Ok<E> = E extends Effect.Effect<infer A, infer _E, infer _R> ? A : never

it("needs wrt", () => {
  // @ts-expect-error Expected 3 arguments, but got 2
  Optimizer.make(net, sgd(0.1))
  // @ts-expect-error Property 'wrt' is missing in type '{}' but required in type '{ readonly wrt: Filter; }'
  Optimizer.make(net, sgd(0.1), {})
  expect(Optimizer.make(net, sgd(0.1), { wrt: Param })).type.not.toRaiseError()
})

it("takes the gradients that grad gives with the same wrt", () => {
  Effect.gen(function*() {
    const optimizer = yield* Optimizer.make(block, adam(0.1), { wrt: Param })
    expect(optimizer.update(block, yield* grad(loss)(block))).type.not.toRaiseError()
    const anyOf = Filter.anyOf(Param, BatchStat)
    // @ts-expect-error Property 'linear' is missing
    optimizer.update(block, yield* grad(loss, { wrt: BatchStat })(block))
    const both = yield* Optimizer.make(block, adam(0.1), { wrt: anyOf })
    expect(both.update(block, yield* grad(loss, { wrt: anyOf })(block))).type.not.toRaiseError()
    // @ts-expect-error Property 'mean' is missing
    both.update(block, yield* grad(loss)(block))
  })
})

it("takes its own model and gradients of it", () => {
  Effect.gen(function*() {
    const optimizer = yield* Optimizer.make(block, adam(0.1), { wrt: Param })
    const grads = yield* grad(loss)(block)
    // @ts-expect-error Argument of type 'Net' is not assignable to parameter of type 'Block'
    optimizer.update(net, grads)
    // @ts-expect-error is not assignable to parameter of type
    optimizer.update(block, yield* grad(netLoss)(net))
    // @ts-expect-error Expected 2 arguments, but got 1
    optimizer.update(block)
  })
})

it("is an optimizer of its model, whatever its transformation", () => {
  type Made = Ok<ReturnType<typeof make>>
  const make = () => Optimizer.make(block, adamw(1e-3), { wrt: Param })
  expect<Made>().type.toBeAssignableTo<Optimizer<Block>>()
  expect<Made>().type.not.toBeAssignableTo<Optimizer<Net>>()
  const step = jit((model: Block, optimizer: Optimizer<Block>) =>
    Effect.flatMap(grad(loss)(model), (grads) => optimizer.update(model, grads))
  )
  expect(Effect.flatMap(make(), (optimizer) => step(block, optimizer))).type.not.toRaiseError()
})

it("splits by kinds as every Module", () => {
  Effect.gen(function*() {
    const optimizer = yield* Optimizer.make(block, adam(0.1), { wrt: Param })
    expect(GraphDef.split(optimizer, OptState)).type.not.toRaiseError()
    // @ts-expect-error NoFilterCovers<"OptState" | "OptState/OptArray">
    GraphDef.split(optimizer, Param)
  })
})

it("knows the state of transformations", () => {
  const trained = chain(clip(1), trace(0.9))
  expect(trained).type.toBe<GradientTransformation<readonly [EmptyState, TraceState]>>()
  expect(namedChain({ clip: clip(1), momentum: trace(0.9) })).type.toBe<
    GradientTransformation<{ readonly clip: EmptyState; readonly momentum: TraceState }>
  >()
  expect(trained).type.toBeAssignableTo<GradientTransformation>()
  expect(multiSteps(identity, 2).init(x).miniStep).type.toBe<Tensor>()
  // @ts-expect-error Type 'number' is not assignable to type 'boolean | undefined'
  scaleByAdam({ nesterov: 1 })
  // @ts-expect-error 'beta1' does not exist
  adam(1e-3, { beta1: 0.9 })
})

it("has hyperparameters as Variables", () => {
  Effect.gen(function*() {
    const tx = injectHyperparams(({ rate }) => adam(rate), { rate: 1e-3 })
    const optimizer = yield* Optimizer.make(block, tx, { wrt: Param })
    expect(optimizer.optState.hyperparams.rate).type.toBe<Variable<"OptState/OptArray", Tensor>>()
    expect(optimizer.wrt).type.toBe<Kind<"Param">>()
  })
})

it("knows what metrics take and give", () => {
  Effect.gen(function*() {
    const average = yield* Average.make("loss")
    expect(average.update({ loss: x })).type.not.toRaiseError()
    // @ts-expect-error 'values' does not exist
    average.update({ values: x })
    expect((yield* Welford.make()).compute).type.toBe<Effect.Effect<Statistics>>()
    const multi = yield* MultiMetric.make({ accuracy: yield* Accuracy.make(), loss: average })
    expect(multi.update({ logits: x, labels: x, loss: 1 })).type.not.toRaiseError()
    expect(multi.update({ logits: x, labels: x, loss: 1, mask: { loss: x } })).type.not.toRaiseError()
    expect(yield* multi.compute).type.toBe<{ readonly accuracy: Tensor; readonly loss: Tensor }>()
    // @ts-expect-error Property 'labels' is missing
    multi.update({ logits: x, loss: 1 })
    // @ts-expect-error 'precision' does not exist
    multi.update({ logits: x, labels: x, loss: 1, mask: { precision: x } })
  })
})
