// What Flax prints of models (adapted to TypeScript), to the letter.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inspect } from "node:util"
import "../../src/Tensor/install.ts"
import { immutable, setAttribute } from "../../src/GraphDef/index.ts"
import { formatBytes } from "../../src/Ref/print.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import { literal } from "../../src/Tensor/Tensor.ts"
import { Block, Dropout, Linear, Node, zeros } from "../support/models.ts"

const scalar = (n: number) => literal(n, "int32", true)
const Plain = Variable.kind("Variable")

describe("printing", () => {
  it("A.010 a Variable: elements and bytes of all its arrays", () => {
    assert.strictEqual(
      String(Plain.makeUnsafe({ a: scalar(0), b: scalar(2) })),
      `Variable( # 2 (8 B)
  value={'a': Array(0, dtype=int32, weakType=true), 'b': Array(2, dtype=int32, weakType=true)}
)`
    )
  })

  it("A.011 without arrays there is no comment", () => {
    assert.strictEqual(String(Plain.makeUnsafe({})), "Variable(\n  value={}\n)")
  })

  it("A.014 arrays print in full in a Variable", () => {
    assert.strictEqual(
      String(Plain.makeUnsafe(zeros(3), { metadata: { tag: "x", axes: ["in"] } })),
      `Variable( # 3 (12 B)
  value=Array([0., 0., 0.], dtype=float32),
  tag='x',
  axes=['in']
)`
    )
  })

  it.effect("A.016 A.040 in a Module arrays of more than one element show shape and dtype", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        String(Linear.makeUnsafe(1, 3)),
        `Linear( # Param: 6 (24 B)
  kernel=Param( # 3 (12 B)
    value=Array(shape=(1, 3), dtype=float32)
  ),
  bias=Param( # 3 (12 B)
    value=Array(shape=(3,), dtype=float32)
  ),
  features=3
)`
      )
      const frozen = yield* immutable(new Node({ scale: Variable.Param.makeUnsafe(scalar(1)) }))
      assert.strictEqual(
        String(frozen),
        `Node( # Param: 1 (4 B)
  scale=Param( # 1 (4 B)
    value=Array(1, dtype=int32, weakType=true),
    isMutable=false
  )
)`
      )
    }))

  it("F.036 totals by kind, random streams as one, a total only for several kinds", () => {
    const [header] = String(Block.makeUnsafe(2, 3)).split("\n")
    assert.strictEqual(header, "Block( # RngState: 3 (12 B), Param: 12 (48 B), BatchStat: 3 (12 B), Total: 18 (72 B)")
    assert.strictEqual(String(Dropout.makeUnsafe()).split("\n")[0], "Dropout( # RngState: 3 (12 B)")
    assert.strictEqual(String(new Node({})), "Node()")
  })

  it("F.036 decimal units with one place and separators", () => {
    assert.deepStrictEqual([0, 999, 1000, 1001, 1_500_000, 2_345_678_901, 1_234_500_000_000].map(formatBytes), [
      "0 B",
      "999 B",
      "1,000 B",
      "1.0 KB",
      "1.5 MB",
      "2.3 GB",
      "1,234.5 GB"
    ])
    assert.include(String(new Node({ w: Variable.Param.makeUnsafe(zeros(1000, 3)) })), "# Param: 3,000 (12.0 KB)")
  })

  it.effect("what was printed before shows as ..., so cycles end", () =>
    Effect.gen(function*() {
      const child = new Node({ n: 1, f: Math.abs, nothing: undefined })
      const root = new Node({ child, list: [child, "x"] })
      yield* setAttribute(child, "root", root)
      assert.strictEqual(
        String(root),
        `Node(
  child=Node(
    n=1,
    f=abs,
    nothing=undefined,
    root=Node(...)
  ),
  list=[Node(...), 'x']
)`
      )
      assert.strictEqual(inspect(root), String(root))
    }))
})
