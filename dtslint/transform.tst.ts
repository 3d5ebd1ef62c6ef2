import { Context, Effect, Ref } from "effect"
import { expect, it } from "tstyche"
import type { Backend } from "../src/Backend/Backend.ts"
import { BatchStat, Param, Rngs, type Variable } from "../src/Ref/index.ts"
import { Filter, type VariableState } from "../src/State/index.ts"
import type { Tensor } from "../src/Tensor/Tensor.ts"
import * as Transform from "../src/Transform/index.ts"
import type { Block, Net } from "./models.ts"

declare const x: Tensor
declare const net: Net
declare const block: Block

class Database extends Context.Service<Database, { readonly row: Effect.Effect<Tensor> }>()("Database") {}
class Failed {
  readonly _tag = "Failed"
}

const pure = (y: Tensor) => Effect.succeed(y)
const drawing = (y: Tensor) => Effect.map(Rngs, (rngs) => y.mul(Object.keys(rngs.streams).length))
const checking = (y: Tensor) => Effect.as(Transform.Check.that(y.gt(0), new Failed()), y)
const querying = (y: Tensor) => Effect.flatMap(Database, (db) => Effect.map(db.row, (row) => row.add(y)))
const failing = (y: Tensor) => y.ndim > 2 ? Effect.fail("too many axes" as const) : Effect.succeed(y)
const weigh = (m: Net, y: Tensor) => Effect.map(Ref.get(m.dense.kernel), (w) => w.mul(y).sum())

type Ok<E> = E extends Effect.Effect<infer A, infer _E, infer _R> ? A : never
type Err<E> = E extends Effect.Effect<infer _A, infer Failure, infer _R> ? Failure : never
type Needs<E> = E extends Effect.Effect<infer _A, infer _E, infer R> ? R : never

it("rejects a service inside a traced function, and names it", () => {
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.jit(querying)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.grad(querying)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.valueAndGrad(querying)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.vmap(querying)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.scan(querying, { inAxes: 0, outAxes: 0 })
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.remat(querying)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.jvp(querying, [x], [x])
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.vjp(querying, x)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.linearize(querying, x)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.hessian(querying)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.evalShape(querying)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.makeProgram(querying)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.cond(x, querying, pure, x)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.switchCase(x, [querying], x)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.whileLoop((y: Tensor) => Effect.succeed(y.gt(0)), querying, x)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.foriLoop(0, 3, (_, y) => querying(y), x)
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.customVjp(querying, {
    fwd: (y) => Effect.succeed([y, null] as const),
    bwd: () => Effect.succeed([null] as const)
  })
})

it("rejects it in functions that are written in place, with other services beside it", () => {
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.jit((y: Tensor) => Effect.flatMap(Database, (db) => Effect.map(db.row, (row) => row.add(y))))
  // @ts-expect-error ServiceInsideTrace<Database>
  Transform.jit((y: Tensor) => Effect.andThen(drawing(y), querying(y)))
})

it("accepts Rngs and Backend, which are interpreted; only Backend is left of them by jit", () => {
  expect(Transform.jit(drawing)).type.not.toRaiseError()
  expect(Transform.grad(drawing)).type.not.toRaiseError()
  expect(Transform.vmap(checking)).type.not.toRaiseError()
  const compiled = Transform.jit((y: Tensor) => Effect.andThen(drawing(y), checking(y)))
  expect<Needs<ReturnType<typeof compiled>>>().type.toBe<Backend>()
  const gradient = Transform.grad((y: Tensor) => Effect.andThen(drawing(y), checking(y)))
  expect<Needs<ReturnType<typeof gradient>>>().type.toBe<Backend | Rngs>()
  const nothing = Transform.grad(pure)
  expect<Needs<ReturnType<typeof nothing>>>().type.toBe<never>()
})

it("keeps arguments and results, and rejects wrong ones", () => {
  const f = Transform.jit(weigh)
  expect(f).type.toBeCallableWith(net, x)
  expect(f).type.not.toBeCallableWith(net)
  expect(f).type.not.toBeCallableWith(x, net)
  expect(f).type.not.toBeCallableWith(net, 3)
  expect<Ok<ReturnType<typeof f>>>().type.toBe<Tensor>()
  expect(f.traces()).type.toBe<number>()
  expect(Transform.grad(weigh)).type.not.toBeCallableWith(x)
  // @ts-expect-error is not assignable
  Transform.grad((y: Tensor) => Effect.succeed([y, y] as const))
  // @ts-expect-error is not assignable
  Transform.jvp(pure, [x], [1])
  // @ts-expect-error is not assignable
  Transform.cond(x, (y: string) => Effect.succeed(y), () => Effect.succeed("a"), x)
})

it("functions that are written in place know their parameters", () => {
  const chosen = Transform.cond(x.gt(0), (y) => Effect.succeed(y.sin()), (y) => Effect.succeed(y), x)
  expect<typeof chosen>().type.toBe<Effect.Effect<Tensor, Transform.TransformError>>()
  const looped = Transform.whileLoop(
    ([y, n]) => Effect.succeed(y.lt(n)),
    ([y, n]) => Effect.succeed([y.mul(2), n] as const),
    [x, x]
  )
  expect<Ok<typeof looped>>().type.toBe<readonly [Tensor, Tensor]>()
  const summed = Transform.foriLoop(0, 3, (i, y) => Effect.succeed(y.add(i)), x)
  expect<Ok<typeof summed>>().type.toBe<Tensor>()
  const switched = Transform.switchCase(x, [(y) => Effect.succeed(y), () => Effect.succeed(x)], x)
  expect<Ok<typeof switched>>().type.toBe<Tensor>()
})

it("derivatives: a State of Params for a Module, the same tree for arrays, a tuple for several argnums", () => {
  const one = Transform.grad(weigh)
  type One = Ok<ReturnType<typeof one>>
  expect<One["dense"]["kernel"]>().type.toBe<VariableState<"Param", Tensor>>()
  expect<One>().type.not.toHaveProperty("dropout")
  const second = Transform.grad(weigh, { argnums: 1 })
  expect<Ok<ReturnType<typeof second>>>().type.toBe<Tensor>()
  const both = Transform.valueAndGrad(weigh, { argnums: [1, 0] })
  type Both = Ok<ReturnType<typeof both>>
  expect<Both[0]>().type.toBe<Tensor>()
  expect<Both[1][0]>().type.toBe<Tensor>()
  expect<Both[1][1]["dense"]["kernel"]>().type.toBe<VariableState<"Param", Tensor>>()
  const tree = Transform.grad((t: { readonly a: Tensor; readonly b: ReadonlyArray<Tensor>; readonly name: string }) =>
    Effect.succeed(t.a)
  )
  expect<Ok<ReturnType<typeof tree>>>().type.toBe<
    { readonly a: Tensor; readonly b: ReadonlyArray<Tensor>; readonly name: string }
  >()
})

it("derivatives: with respect to what wrt selects, to trees of Modules and to a Variable", () => {
  const f = (b: Block) => Ref.get(b.norm.mean)
  const stats = Transform.grad(f, { wrt: BatchStat })
  type Stats = Ok<ReturnType<typeof stats>>
  expect<Stats["norm"]["mean"]>().type.toBe<VariableState<"BatchStat", Tensor>>()
  expect<Stats>().type.not.toHaveProperty("linear")
  const all = Transform.grad(f, { wrt: Filter.everything })
  type All = Ok<ReturnType<typeof all>>
  expect<All["norm"]["mean"]>().type.toBe<VariableState<"BatchStat", Tensor>>()
  expect<All["linear"]["kernel"]>().type.toBe<VariableState<"Param", Tensor>>()
  const trees = Transform.grad((t: { readonly net: Net; readonly scale: Tensor }) => weigh(t.net, t.scale))
  type Trees = Ok<ReturnType<typeof trees>>
  expect<Trees["net"]["dense"]["kernel"]>().type.toBe<VariableState<"Param", Tensor>>()
  expect<Trees>().type.not.toHaveProperty("scale")
  const single = Transform.grad((v: Variable<"Param", Tensor>) => Ref.get(v), { wrt: Param })
  expect<Ok<ReturnType<typeof single>>>().type.toBe<VariableState<"Param", Tensor>>()
  expect(Transform.grad(f)).type.toBeCallableWith(block)
})

it("aux keeps its type", () => {
  const f = Transform.valueAndGradWithAux((y: Tensor) => Effect.succeed([y, { n: 1, y }] as const))
  expect<Ok<ReturnType<typeof f>>[0]>().type.toBe<readonly [Tensor, { readonly n: 1; readonly y: Tensor }]>()
})

it("errors: those of the function and of the transform", () => {
  const compiled = Transform.jit(failing)
  expect<Err<ReturnType<typeof compiled>>>().type.toBe<"too many axes" | Transform.TransformError>()
  const gradient = Transform.grad(failing)
  expect<Err<ReturnType<typeof gradient>>>().type.toBe<"too many axes" | Transform.TransformError>()
  const checked = Transform.jit(checking)
  expect<Err<ReturnType<typeof checked>>>().type.toBe<Failed | Transform.TransformError>()
  const either = Transform.cond(x, failing, checking, x)
  expect<Err<typeof either>>().type.toBe<"too many axes" | Failed | Transform.TransformError>()
  const several = Transform.switchCase(x, [pure, failing, (y) => Effect.succeed(y)], x)
  expect<Err<typeof several>>().type.toBe<"too many axes" | Transform.TransformError>()
  expect<Needs<typeof several>>().type.toBe<never>()
  expect<Extract<Transform.TransformError, { readonly _tag: "ShapeError" }>>().type.not.toBe<never>()
})

it("splitRngs and forkRngs keep what a function takes and gives", () => {
  const split = Transform.splitRngs({ splits: 3 })(weigh)
  expect<Parameters<typeof split>>().type.toBe<[m: Net, y: Tensor]>()
  expect<Ok<ReturnType<typeof split>>>().type.toBe<Tensor>()
  expect<Err<ReturnType<typeof split>>>().type.toBe<Transform.TransformError>()
  expect<Needs<ReturnType<typeof split>>>().type.toBe<never>()
  expect(Transform.splitRngs(net, { splits: [2, 3], only: "dropout" })).type.toBe<
    Effect.Effect<Transform.RngBackups, Transform.TransformError>
  >()
  const forked = Transform.forkRngs({})(querying)
  expect<Needs<ReturnType<typeof forked>>>().type.toBe<Database>()
  expect(Transform.withRngs(net, { split: 2 })).type.toBe<Effect.Effect<Net, Transform.TransformError>>()
})
