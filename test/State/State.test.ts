import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import "../../src/Tensor/install.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import * as States from "../../src/State/index.ts"
import { zeros } from "../support/models.ts"

const state = States.fromEntries([
  [["layers", "10", "kernel"], States.variableState("Param", zeros(2, 2))],
  [["layers", "9", "kernel"], States.variableState("Param", zeros(2, 3), { axes: ["in", "out"] })],
  [["bias"], States.variableState("Param", zeros(3))],
  [["table"], zeros(4)]
])

describe("State", () => {
  it("F.031 positions are in numeric order, and before names", () => {
    assert.deepStrictEqual(States.paths(state), [
      ["bias"],
      ["layers", "9", "kernel"],
      ["layers", "10", "kernel"],
      ["table"]
    ])
    const mixed = States.fromEntries([[["b"], 1], [["10"], 2], [["9"], 3], [["a"], 4], [["01"], 5]])
    assert.deepStrictEqual(States.paths(mixed).map(([key]) => key), ["9", "10", "01", "a", "b"])
  })

  it("B.024 reads like the model", () => {
    const typed = state as typeof state & {
      readonly layers: Readonly<Record<string, { readonly kernel: States.VariableState<"Param", unknown> }>>
      readonly table: unknown
    }
    assert.strictEqual(typed.layers["9"].kernel.kind, "Param")
    assert.deepStrictEqual(typed.layers["9"].kernel.metadata, { axes: ["in", "out"] })
    assert.strictEqual(typed.layers["10"].kernel.value, States.values(state)[2])
    assert.strictEqual(typed.table, States.values(state)[3])
  })

  it("gets leaves and nested States by path", () => {
    const layers = States.get(state, ["layers"])
    assert.isTrue(Option.isSome(layers) && States.isState(layers.value) && States.length(layers.value) === 2)
    assert.isTrue(Option.isSome(States.get(state, ["layers", "9", "kernel"])))
    assert.isTrue(Option.isNone(States.get(state, ["layers", "9", "kernel", "deeper"])))
    assert.isTrue(Option.isNone(States.get(state, ["nothing"])))
    assert.deepStrictEqual(States.get(state, []), Option.some(state))
  })

  it("A.123 is a value", () => {
    const again = States.fromEntries(States.toEntries(state))
    assert.isTrue(Equal.equals(again, state))
    assert.strictEqual(Hash.hash(again), Hash.hash(state))
    assert.isFalse(Equal.equals(States.map(state, () => 1), state))
    assert.isFalse(Equal.equals(States.diff(state, States.filter(state, Variable.Param)), state))
  })

  it("refuses two leaves at one path, and one below another", () => {
    assert.throws(() => States.fromEntries([[["a"], 1], [["a"], 2]]), /two leaves at one path/)
    assert.throws(() => States.fromEntries([[["a", "b"], 1], [["a"], 2], [["a b"], 3]]), /below another, which is at a/)
  })

  it("B.028 maps values", () => {
    const shapes = States.map(state, (x) => String((x as { readonly shape: ReadonlyArray<number> }).shape))
    assert.deepStrictEqual(States.values(shapes), ["3", "2,3", "2,2", "4"])
    const paths = States.mapWithPath(state, (path) => path.join("."))
    assert.deepStrictEqual(States.values(paths), ["bias", "layers.9.kernel", "layers.10.kernel", "table"])
  })

  it("counts elements and bytes", () => {
    assert.strictEqual(States.length(state), 4)
    assert.strictEqual(States.size(state), 3 + 6 + 4 + 4)
    assert.strictEqual(States.bytes(state), 4 * 17)
  })

  it("merges from the right, and takes away by path", () => {
    const other = States.fromEntries([[["bias"], States.variableState("Param", 1)], [["new"], 2]])
    const merged = States.merge(state, other)
    assert.strictEqual(States.length(merged), 5)
    assert.strictEqual(States.values(merged)[0], 1)
    assert.deepStrictEqual(States.paths(States.diff(merged, state)), [["new"]])
    assert.isTrue(Equal.equals(States.merge(States.empty, state), state))
  })

  it("B.029 pure dicts there and back", () => {
    const dict = States.toPureDict(state)
    assert.deepStrictEqual(Object.keys(dict as object), ["bias", "layers", "table"])
    const values = { bias: 1, layers: { 9: { kernel: { deep: 2 } }, 10: { kernel: 3 } } }
    const replaced = States.replaceByPureDict(state, values)
    assert.deepStrictEqual(States.values(replaced).slice(0, 3), [1, { deep: 2 }, 3])
    assert.isTrue(Equal.equals(States.replaceByPureDict(replaced, dict), state))
    assert.throws(() => States.replaceByPureDict(state, { bia: 1 }), /bia: key in pure dict not available in state/)
    assert.deepStrictEqual(States.paths(States.fromPureDict({ a: [1, { b: 2 }] })), [["a", "0"], ["a", "1", "b"]])
  })

  it("names of attributes that objects have of their own are just names", () => {
    const odd = States.fromEntries([[["constructor"], 1], [["pipe"], 2], [["toString", "x"], 3], [["__proto__"], 4]])
    assert.deepStrictEqual(States.paths(odd).map(([key]) => key), ["__proto__", "constructor", "pipe", "toString"])
    assert.strictEqual((odd as unknown as { readonly pipe: number }).pipe, 2)
    assert.strictEqual(States.length(odd), 4)
  })

  it("prints as Flax prints", () => {
    assert.strictEqual(
      String(States.filter(state, States.Filter.pathContains("9"))),
      `State({
  'layers': {
    '9': {
      'kernel': Param( # 6 (24 B)
        value=Array([[0., 0., 0.],
               [0., 0., 0.]], dtype=float32),
        axes=['in', 'out']
      )
    }
  }
})`
    )
    assert.strictEqual(String(States.empty), "State({})")
  })
})
