// Models for the type tests.
import { Module } from "../src/Ref/Module.ts"
import type { BatchStat, Kind, Param, RngKey, Variable } from "../src/Ref/Variable.ts"
import type { Tensor } from "../src/Tensor/Tensor.ts"

type Of<K> = K extends Kind<infer Tag> ? Variable<Tag, Tensor> : never

export class Linear extends Module("Linear")<{
  readonly kernel: Of<typeof Param>
  readonly bias: Of<typeof Param> | undefined
  readonly features: number
}> {
  forward(x: Tensor): Tensor {
    return x
  }
}

export class BatchNorm extends Module("BatchNorm")<{
  readonly scale: Of<typeof Param>
  readonly mean: Of<typeof BatchStat>
  readonly activation: (x: Tensor) => Tensor
}> {}

export class Dropout extends Module("Dropout")<{ readonly key: Of<typeof RngKey>; readonly rate: number }> {}

export class Net extends Module("Net")<{
  readonly dense: Linear
  readonly dropout: Dropout
}> {}

export class Block extends Module("Block")<{ readonly linear: Linear; readonly norm: BatchNorm }> {}

export class Stack extends Module("Stack")<{
  readonly blocks: ReadonlyArray<Block>
  readonly heads: { readonly left: Linear; readonly right: Linear }
  readonly sizes: ReadonlyArray<number>
}> {}

export class Chain extends Module("Chain")<{ readonly weight: Of<typeof Param>; readonly next: Chain | undefined }> {}

export class Plain extends Module("Plain")<{ readonly table: Tensor; readonly linear: Linear }> {}
