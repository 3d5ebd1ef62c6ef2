// Kept traversals: used as long as they are right, and no longer; they keep nothing alive.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as GraphDef from "../../src/GraphDef/index.ts"
import { flattener, type Leaf } from "../../src/GraphDef/updateContext.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import { variableState } from "../../src/State/index.ts"
import * as States from "../../src/State/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { Linear, Node, Stack, zeros } from "../support/models.ts"

const tensors = (leaves: ReadonlyArray<Leaf>): ReadonlyArray<Tensor> =>
  leaves.flatMap((leaf) => leaf._tag === "Array" ? [leaf.tensor] : [])

describe("flattener", () => {
  it("gives the same GraphDef for the same model, with the arrays of the call", () => {
    const flatten = flattener()
    const model = Stack.makeUnsafe(3, 2)
    const [x, y] = [zeros(1), zeros(2)]
    const first = flatten([model, { x, rate: 3 }, [y]])
    const second = flatten([model, { x: y, rate: 3 }, [x]])
    assert.strictEqual(second.graphdef, first.graphdef)
    assert.strictEqual(second.objects, first.objects)
    assert.deepStrictEqual(tensors(first.leaves), [x, y])
    assert.deepStrictEqual(tensors(second.leaves), [y, x])
    assert.deepStrictEqual(second.leaves.map((leaf) => leaf.path), first.leaves.map((leaf) => leaf.path))
  })

  it("sees other static values, other keys, other models and other sharing", () => {
    const flatten = flattener()
    const [a, b] = [Linear.makeUnsafe(1, 1), Linear.makeUnsafe(1, 1)]
    const calls: ReadonlyArray<unknown> = [
      [a, { x: 1 }],
      [a, { x: 2 }],
      [a, { y: 1 }],
      [a, { x: 1, y: 1 }],
      [a, [1]],
      [a, b],
      [a, a],
      [a, a.kernel],
      [a, Math.abs],
      [a, zeros(1)]
    ]
    for (const value of [...calls, ...calls]) {
      assert.deepStrictEqual(String(flatten(value).graphdef), String(flattener()(value).graphdef))
    }
  })

  it.effect("sees fields that were set and metadata that was changed, anywhere below", () =>
    Effect.gen(function*() {
      const flatten = flattener()
      const model = Stack.makeUnsafe(2, 2)
      const before = flatten([model])
      assert.strictEqual(flatten([model]).graphdef, before.graphdef)
      yield* GraphDef.setAttribute(model.blocks[1].linear, "extra", Variable.Param.makeUnsafe(zeros(1)))
      const after = flatten([model])
      assert.strictEqual(after.leaves.length, before.leaves.length + 1)
      yield* GraphDef.update(
        model,
        States.fromEntries([[["head", "bias"], variableState("Param", zeros(1), { tag: "x" })]])
      )
      assert.notStrictEqual(flatten([model]).graphdef, after.graphdef)
    }))

  it("States are surface: one table, other arrays", () => {
    const flatten = flattener()
    const model = Linear.makeUnsafe(1, 1)
    const state = Effect.runSync(GraphDef.state(model))
    const first = flatten([model, state])
    const other = States.mapTensors(state, (x) => zeros(...x.shape))
    const second = flatten([model, other])
    assert.strictEqual(second.graphdef, first.graphdef)
    assert.deepStrictEqual<unknown>(tensors(second.leaves), States.values(other))
  })

  it("arrays that are fields of Modules are not taken for arguments", () => {
    const flatten = flattener()
    const x = zeros(1)
    const model = new Node({ x })
    flatten([model, x])
    const y = zeros(1)
    assert.deepStrictEqual(tensors(flatten([model, y]).leaves), [x, y])
    assert.deepStrictEqual(tensors(flatten([y, model]).leaves), [y, x])
  })

  it("keeps neither models nor batches alive", async () => {
    const flatten = flattener()
    const use = (): readonly [WeakRef<object>, WeakRef<object>] => {
      const [model, batch] = [Stack.makeUnsafe(1, 1), zeros(3)]
      flatten([model, batch])
      flatten([model, batch])
      return [new WeakRef(model), new WeakRef(batch)]
    }
    const [model, batch] = use()
    for (let i = 0; i < 10 && (model.deref() !== undefined || batch.deref() !== undefined); i++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      globalThis.gc?.()
    }
    assert.isUndefined(batch.deref())
    assert.isUndefined(model.deref())
    assert.strictEqual(typeof flatten, "function")
  })
})
