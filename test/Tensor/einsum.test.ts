import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as T from "../../src/Tensor/index.ts"
import { assertClose } from "../support/close.ts"
import * as golden from "../support/golden.ts"

const isOurs = (dtype: golden.Argument | undefined): dtype is T.DType.DType => T.DType.isDType(dtype)

describe("einsum", () => {
  it.effect("agrees with JAX", () =>
    Effect.gen(function*() {
      for (const c of golden.cases("ops_reduce.json").einsum) {
        const [subscripts, ...operands] = c.args.map((a) => golden.input(a))
        const preferred = c.params.preferred_element_type
        const run = () =>
          T.einsum(String(subscripts), ...(operands as ReadonlyArray<T.Tensor>), {
            preferredElementType: isOurs(preferred) ? preferred : undefined
          })
        if (c.error !== undefined) {
          assert.throws(run, undefined, undefined, c.name)
          continue
        }
        const out = run()
        assert.deepStrictEqual([out.dtype, out.shape], [c.out.dtype, c.out.shape], c.name)
        const rtol = c.out.dtype === "bfloat16" ? 2 ** -7 : c.out.dtype === "float16" ? 2 ** -10 : 1e-5
        assertClose(yield* toNested(out), golden.numbers(c.out), { rtol, atol: 1e-5 }, c.name)
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it("says what is wrong with an equation", () => {
    const x = T.zeros([2, 3])
    for (const subscripts of ["i", "ij->k", "ij->ii", "ij,jk", "i...j...", "ij->i->j", "i1", "ii"]) {
      assert.throws(() => T.einsum(subscripts, x), T.ShapeError, "einsum", subscripts)
    }
    assert.throws(() => T.einsum("ij,jk", x, T.zeros([4, 2])), T.ShapeError, "one size for label j")
  })

  it("contracts with dot_general, cheapest pair first, and without needless transpositions", () => {
    const names = (x: T.Tensor): ReadonlyArray<string> => {
      const { source } = x
      return source._tag === "Pending" ? [...source.node.inputs.flatMap(names), source.node.primitive] : []
    }
    const [a, b, c] = [T.zeros([50, 2]), T.zeros([2, 50]), T.zeros([50, 3])].map((x) => T.lax.copy(x))
    const dots = (x: T.Tensor) => names(x).filter((name) => name === "dot_general" || name === "transpose")
    assert.deepStrictEqual(dots(T.einsum("ij,jk->ik", a, b)), ["dot_general"])
    assert.deepStrictEqual(dots(T.einsum("ij,jk->ki", a, b)), ["dot_general"])
    const chain = T.einsum("ij,jk,kl->il", a, b, c)
    assert.deepStrictEqual(chain.shape, [50, 3])
    const inner = chain.source._tag === "Pending" ? chain.source.node.inputs.map((x) => x.shape) : []
    assert.isTrue(inner.some((shape) => shape.toSorted().join() === "2,3"), "b·c first: it is small")
  })
})
