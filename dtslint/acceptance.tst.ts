import { Context, Effect } from "effect"
import { expect, it } from "tstyche"
import * as nnx from "../src/index.ts"

type Tensor = nnx.Tensor.Tensor

class Clock extends Context.Service<Clock, { readonly now: Effect.Effect<number> }>()("test/Clock") {}

declare const x: Tensor
declare const linear: nnx.Linear
const timed = (a: Tensor) => Effect.as(Clock, a)
const timedScalar = (a: Tensor) => Effect.as(Clock, a.sum())
const plain = (a: Tensor) => Effect.succeed(a)

it("a service inside a traced function does not compile, and is named", () => {
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.jit(timed)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.jit((a: Tensor) => Effect.flatMap(Clock, () => Effect.succeed(a)))
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.grad(timedScalar)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.valueAndGrad(timedScalar)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.vmap(timed)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.scan((c: Tensor, a: Tensor) => Effect.as(Clock, [c, a] as const))
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.remat(timed)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.jacfwd(timed)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.jacrev(timed)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.hessian(timedScalar)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.evalShape(timed)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.makeProgram(timed)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.vjp(timed, x)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.jvp(timed, [x], [x])
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.linearize(timed, x)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.cond(x, timed, plain, x)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.switch(x, [timed], x)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.whileLoop(timed, plain, x)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.whileLoop(plain, timed, x)
  // @ts-expect-error ServiceInsideTrace<Clock>
  nnx.foriLoop(0, 3, (_: Tensor, a: Tensor) => timed(a), x)
})

it("the services that transforms interpret compile", () => {
  const draws = nnx.jit((a: Tensor) =>
    Effect.flatMap(nnx.Rngs, (rngs) => Effect.map(rngs.uniform([2]), (u) => u.add(a)))
  )
  expect(draws(x)).type.toBeAssignableTo<Effect.Effect<Tensor, nnx.TransformError | nnx.RngStreamError, nnx.Backend>>()
  const checked = nnx.jit((a: Tensor) => Effect.as(nnx.Check.that(a.gt(0), "negative" as const), a))
  expect(checked(x)).type.toBeAssignableTo<Effect.Effect<Tensor, nnx.TransformError | "negative", nnx.Backend>>()
})

it("a wrong argument of a compiled function does not compile", () => {
  const f = nnx.jit((m: nnx.Linear, a: Tensor) => m.apply(a))
  expect(f(linear, x)).type.not.toRaiseError()
  // @ts-expect-error Argument of type 'string' is not assignable to parameter of type 'Tensor'
  f(linear, "x")
  // @ts-expect-error is not assignable to parameter of type 'Linear
  f(x, x)
  // @ts-expect-error Expected 2 arguments, but got 1
  f(linear)
})

it("an optimizer takes the gradients of its own filter", () => {
  const loss = (m: nnx.Linear) => Effect.map(m.apply(x), (y) => y.sum())
  const optimizer = Effect.runSync(nnx.Optimizer.make(linear, nnx.sgd(0.1), { wrt: nnx.Param }))
  const grads = Effect.runSync(nnx.grad(loss)(linear).pipe(Effect.orDie))
  expect(optimizer.update(linear, grads)).type.not.toRaiseError()
  // @ts-expect-error is not assignable
  optimizer.update(linear, x)
  // @ts-expect-error Expected 3 arguments, but got 2
  nnx.Optimizer.make(linear, nnx.sgd(0.1))
  // @ts-expect-error Property 'wrt' is missing
  nnx.Optimizer.make(linear, nnx.sgd(0.1), {})
})

it("arrays are no numbers", () => {
  // @ts-expect-error Operator '>' cannot be applied to types 'Tensor' and 'number'
  void (x > 0)
  // @ts-expect-error Operator '+' cannot be applied to types 'Tensor' and 'number'
  void (x + 1)
})
