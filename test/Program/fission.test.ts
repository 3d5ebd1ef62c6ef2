// Loop fission: numbers stay what they were (integers, whose sums do not depend on their order), on random scans of
// products; which products leave the loop, and which must not.
import { assert, describe, it } from "@effect/vitest"
import { closedProgram } from "../../src/Program/build.ts"
import * as Control from "../../src/Program/control.ts"
import { format } from "../../src/Program/print.ts"
import { type Program, subPrograms } from "../../src/Program/Program.ts"
import { simplify } from "../../src/Program/simplify.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../../src/Tensor/Tensor.ts"
import { fromValues, type Random, random } from "../support/arbitrary.ts"
import { evaluate } from "../support/reference/index.ts"
import { run } from "../support/run.ts"

type Tensors = ReadonlyArray<Tensor>

const array = (...shape: ReadonlyArray<number>) => ShapedArray.make(shape, "float64")

/** What the body of a scan is made of. */
interface Body {
  readonly consts: Tensors
  readonly carries: Tensors
  readonly xs: Tensors
}

interface Loop {
  readonly length: number
  readonly reverse?: boolean
  readonly consts: ReadonlyArray<ShapedArray.ShapedArray>
  readonly carries: ReadonlyArray<ShapedArray.ShapedArray>
  readonly xs: ReadonlyArray<ShapedArray.ShapedArray>
}

const part = <A>(loop: Loop, all: ReadonlyArray<A>) => {
  const [a, b] = [loop.consts.length, loop.consts.length + loop.carries.length]
  return { consts: all.slice(0, a), carries: all.slice(a, b), xs: all.slice(b) }
}

/** A scan as a Program: the body gives new carries, then what is stacked. */
const scan = (loop: Loop, f: (body: Body) => Tensors): Program => {
  const { carries, consts, length, reverse = false, xs } = loop
  const program = closedProgram("test", [...consts, ...carries, ...xs], (all) => f(part(loop, all)))
  const whole = xs.map(({ shape }) => array(length, ...shape))
  return closedProgram(
    "test",
    [...consts, ...carries, ...whole],
    (all) =>
      Control.scan({ program, length, reverse, num_consts: consts.length, num_carry: carries.length, unroll: 1 }, all)
        .outputs
  )
}

/** How many products and sums there are in loops. */
const inLoops = (program: Program): number =>
  program.equations.flatMap(subPrograms).flatMap(({ equations }) => equations)
    .filter(({ primitive }) => primitive === "dot_general" || primitive === "reduce_sum").length

const final = (program: Program): Program => simplify(program, { final: true })

const matmul = (x: Tensor, y: Tensor, xAxis = 1, yAxis = 0): Tensor =>
  lax.dotGeneral(x, y, { contracting: [[xAxis], [yAxis]], batch: [[], []] })

const bounded = (x: Tensor): Tensor =>
  lax.min(lax.max(x, lax.broadcastTo(literal(-3, "float64"), x.shape)), lax.broadcastTo(literal(3, "float64"), x.shape))

/** A scan with a state, products of everything with everything, and totals of some of them. */
const sample = (rng: Random): Program => {
  const [rows, n, total] = [rng.integer(1, 4), rng.integer(1, 4), rng.integer(0, 4)]
  const square = array(n, n)
  const loop = {
    length: rng.integer(1, 5),
    reverse: rng.pick([true, false]),
    consts: [square, square],
    carries: [array(rows, n), ...Array.from({ length: total }, () => square), array(n)],
    xs: [array(rows, n), array(rows, n)]
  }
  return scan(loop, ({ carries: [h, ...totals], consts: [w, u], xs: [x, y] }) => {
    const bias = totals[totals.length - 1]
    const shared = matmul(rng.pick([x, y]), w, 1, rng.pick([0, 1]))
    const next = bounded(lax.add(shared, matmul(h, u)))
    const values = [x, y, h, next, shared, lax.mul(x, y)]
    const added = (t: Tensor): Tensor => {
      const product = matmul(rng.pick(values), rng.pick(values), 0, 0)
      const shaped = rng.pick([product, lax.transpose(product, [1, 0])])
      return rng.pick([() => lax.add(t, shaped), () => lax.add(shaped, t), () => lax.add(t, matmul(shaped, u))])()
    }
    const sums = totals.slice(0, -1).map(added)
    const seen = rng.uniform() < 0.2 && sums.length > 0 ? [lax.add(sums[0], totals[0])] : []
    return [
      next,
      ...sums,
      lax.add(bias, lax.reduceSum(rng.pick(values), [0])),
      ...(rng.uniform() < 0.5 ? [next, h] : [lax.mul(next, y)]),
      ...seen
    ]
  })
}

const numbers = (xs: Tensors): ReadonlyArray<ReadonlyArray<number>> => evaluate(xs).map(({ data }) => Array.from(data))

describe("loop fission", () => {
  it("keeps the numbers of random scans", () => {
    let fewer = 0
    for (let seed = 0; seed < 150; seed++) {
      const rng = random(seed)
      const program = sample(rng)
      const inputs = program.inputs.map(({ aval: { shape } }) =>
        fromValues(Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.integer(-3, 4)), shape, "float64")
      )
      const simpler = final(program)
      assert.deepStrictEqual(
        numbers(run(simpler, inputs)),
        numbers(run(program, inputs)),
        `${seed}: ${format(simpler)}`
      )
      assert.deepStrictEqual(simpler.outputs.map(({ aval }) => aval), program.outputs.map(({ aval }) => aval))
      if (inLoops(simpler) < inLoops(simplify(program))) fewer++
    }
    assert.isAbove(fewer, 75)
  })

  it("leaves one product in each loop of a recurrent layer and its gradient", () => {
    const forwards = scan(
      { length: 9, consts: [array(4, 4), array(3, 4)], carries: [array(2, 4)], xs: [array(2, 3)] },
      ({ carries: [h], consts: [u, w], xs: [x] }) => {
        const next = lax.tanh(lax.add(matmul(x, w), matmul(h, u)))
        return [next, next]
      }
    )
    assert.strictEqual(
      format(final(forwards)),
      `{ lambda ; a:f64[4,4] b:f64[3,4] c:f64[2,4] d:f64[9,2,3]. let
    e:f64[9,2,4] = dot_general[dimension_numbers=(([2], [0]), ([], []))] d b
    f:f64[2,4] g:f64[9,2,4] = scan[
      jaxpr={ lambda ; h:f64[4,4] i:f64[2,4] j:f64[2,4]. let
          k:f64[2,4] = dot_general[dimension_numbers=(([1], [0]), ([], []))] i h
          l:f64[2,4] = add j k
          m:f64[2,4] = tanh l
        in (m, m) }
      length=9
      num_carry=1
      num_consts=1
      reverse=False
      unroll=1
    ] a c e
  in (f, g) }`
    )
    const backwards = scan(
      {
        length: 9,
        reverse: true,
        consts: [array(4, 4)],
        carries: [array(2, 4), array(4, 4), array(4)],
        xs: [array(2, 4), array(2, 4)]
      },
      ({ carries: [d, total, bias], consts: [u], xs: [h, slope] }) => {
        const by = lax.mul(d, slope)
        const product = lax.transpose(matmul(by, h, 0, 0), [1, 0])
        return [matmul(by, u, 1, 1), lax.add(total, product), lax.add(bias, lax.reduceSum(by, [0]))]
      }
    )
    assert.strictEqual(
      format(final(backwards)),
      `{ lambda ; a:f64[4,4] b:f64[2,4] c:f64[4,4] d:f64[4] e:f64[9,2,4] f:f64[9,2,4]. let
    g:f64[2,4] h:f64[9,2,4] = scan[
      jaxpr={ lambda ; i:f64[4,4] j:f64[2,4] k:f64[2,4]. let
          l:f64[2,4] = mul j k
          m:f64[2,4] = dot_general[dimension_numbers=(([1], [1]), ([], []))] l i
        in (m, l) }
      length=9
      num_carry=1
      num_consts=1
      reverse=True
      unroll=1
    ] a b f
    n:f64[4,4] = dot_general[dimension_numbers=(([0, 1], [0, 1]), ([], []))] h e
    o:f64[4,4] = transpose[permutation=(1, 0)] n
    p:f64[4,4] = add c o
    q:f64[4] = reduce_sum[axes=(0, 1)] h
    r:f64[4] = add d q
  in (g, p, r) }`
    )
  })

  it("is only for Programs that run", () => {
    const program = scan(
      { length: 9, consts: [array(3, 4)], carries: [], xs: [array(2, 3)] },
      ({ consts: [w], xs: [x] }) => [matmul(x, w)]
    )
    assert.strictEqual(inLoops(simplify(program)), 1)
    assert.strictEqual(inLoops(final(program)), 0)
  })

  it("leaves what steps look at, what is large in every step, and what needs much memory", () => {
    const totals = (rows: number, f: (total: Tensor, x: Tensor, w: Tensor) => Tensors) =>
      scan(
        { length: 9, consts: [array(4, 9)], carries: [array(4, 4)], xs: [array(rows, 4)] },
        ({ carries: [total], consts: [w], xs: [x] }) => f(total, x, w)
      )
    const square = (x: Tensor) => matmul(x, x, 0, 0)
    assert.strictEqual(inLoops(final(totals(255, (total, x) => [lax.add(total, square(x))]))), 0)
    assert.strictEqual(inLoops(final(totals(256, (total, x) => [lax.add(total, square(x))]))), 1)
    assert.strictEqual(inLoops(final(totals(2, (total, x) => [lax.add(total, square(x)), total]))), 1)
    assert.strictEqual(inLoops(final(totals(2, (total, x) => [lax.add(total, lax.mul(total, square(x)))]))), 1)
    assert.strictEqual(inLoops(final(totals(2, (total, x) => [lax.sub(total, square(x))]))), 1)
    // Twice as much as is there would have to be stacked, and more.
    const wide = (copies: number) => (total: Tensor, x: Tensor) => [
      lax.add(total, square(lax.sin(lax.concatenate(Array.from({ length: copies }, () => x), 0))))
    ]
    assert.strictEqual(inLoops(final(totals(2, wide(2)))), 0)
    assert.strictEqual(inLoops(final(totals(2, wide(3)))), 1)
    const stacked = totals(2, (total, x, w) => [total, matmul(x, w)])
    assert.strictEqual(inLoops(final(stacked)), 0)
  })
})
