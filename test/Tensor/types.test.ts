// What calls infer: an array first gives an array, options first give a function of one. Checked by the compiler.
import { assert, describe, it } from "@effect/vitest"
import { pipe } from "effect/Function"
import * as Tensor from "../../src/Tensor/index.ts"

const x = Tensor.ones([2, 3])

const arrays: ReadonlyArray<Tensor.Tensor> = [
  Tensor.sum(x),
  Tensor.prod(x),
  Tensor.mean(x),
  Tensor.var(x),
  Tensor.std(x),
  Tensor.max(x),
  Tensor.min(x),
  Tensor.ptp(x),
  Tensor.all(x),
  Tensor.any(x),
  Tensor.countNonzero(x),
  Tensor.logsumexp(x),
  Tensor.argmax(x),
  Tensor.argmin(x),
  Tensor.cumsum(x),
  Tensor.cumprod(x),
  Tensor.average(x),
  Tensor.norm(x),
  Tensor.median(x),
  Tensor.quantile(x, 0.5),
  Tensor.nansum(x),
  Tensor.nanmax(x),
  Tensor.diff(x),
  Tensor.sort(x),
  Tensor.argsort(x),
  Tensor.transpose(x),
  Tensor.squeeze(x),
  Tensor.flip(x),
  Tensor.roll(x, 1),
  Tensor.rot90(x),
  Tensor.repeat(x, 2),
  Tensor.round(x),
  Tensor.nanToNum(x),
  Tensor.tril(x),
  Tensor.triu(x),
  Tensor.diag(x),
  Tensor.diagonal(x),
  Tensor.trace(x),
  Tensor.pad(x, 1),
  Tensor.concatenate([x, x]),
  Tensor.stack([x, x]),
  Tensor.dot(x, 2),
  Tensor.matmul(x, x.T),
  Tensor.isclose(x, 1),
  Tensor.allclose(x, x),
  Tensor.arrayEqual(x, x),
  Tensor.where(true, x, 0),
  Tensor.clip(x, 0, null)
]

const pipes: ReadonlyArray<Tensor.Tensor> = [
  pipe(x, Tensor.sum(), Tensor.exp),
  pipe(x, Tensor.cumsum({ axis: 0, dtype: "float32" })),
  pipe(x, Tensor.mean({ axis: [0], keepdims: true })),
  pipe(x, Tensor.var({ ddof: 1 })),
  pipe(x, Tensor.max(-1)),
  pipe(x, Tensor.isclose(1, { rtol: 0 })),
  pipe(x, Tensor.round()),
  pipe(x, Tensor.dot(2)),
  pipe(x, Tensor.quantile(0.5)),
  pipe([x, x], Tensor.stack(1)),
  x.pipe(Tensor.sum({ axis: 0 }), Tensor.add(1), Tensor.reshape([3, 1]))
]

const parts: ReadonlyArray<Tensor.Tensor> = [
  ...Tensor.split(x, 2),
  ...pipe(x, Tensor.split(2)),
  ...Tensor.unstack(x),
  ...Tensor.topK(x, 1),
  ...pipe(x, Tensor.topK(1))
]

describe("every call", () => {
  it("gives Tensors", () => {
    for (const y of [...arrays, ...pipes, ...parts]) assert(Tensor.isTensor(y))
  })
})
