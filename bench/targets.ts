/** What Linum must reach: ratios of figures of one run. */
import type { Id } from "./configurations.ts"
import { median } from "./median.ts"

/** Figures of one run, by rounds; none where nothing was measured. */
export interface Figures {
  /** Milliseconds. */
  readonly ms: (workload: string, id: Id) => ReadonlyArray<number>
  readonly gflops: (workload: string, id: Id) => ReadonlyArray<number>
  /** The in-register peak, in GFLOP/s, while the workload was measured. */
  readonly peak: (workload: string, id: Id) => ReadonlyArray<number>
}

/** A comparison; its ratio is better the greater it is. */
export interface Comparison {
  readonly title: string
  readonly ratio: (figures: Figures, workload: string) => number | undefined
}

/** The median of the quotients in those rounds that both have. */
const inSameRounds = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number | undefined => {
  const rounds = Math.min(a.length, b.length)
  return rounds === 0 ? undefined : median(a.slice(0, rounds).map((x, round) => x / b[round]))
}

/** The quotient of the medians: for what was not measured in the same rounds. */
const ofMedians = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number | undefined =>
  a.length === 0 || b.length === 0 ? undefined : median(a) / median(b)

const faster = (title: string, id: Id, than: Id): Comparison => ({
  title,
  ratio: ({ ms }, workload) => inSameRounds(ms(workload, than), ms(workload, id))
})

/** In the order of columns. */
export const comparisons = {
  jax: faster("than jax-js", "linum", "jax"),
  tfjs: faster("than tfjs-wasm", "linum", "tfjs"),
  threads: faster("2 threads", "linum-2", "linum"),
  wide: faster("wide", "wide", "linum"),
  peak: {
    title: "of peak",
    ratio: ({ gflops, peak }, workload) => inSameRounds(gflops(workload, "linum"), peak(workload, "linum"))
  },
  flat: {
    title: "of matmul 256",
    ratio: ({ gflops }, workload) => ofMedians(gflops(workload, "linum"), gflops("matmul-256", "linum"))
  }
} satisfies Record<string, Comparison>

export type ComparisonName = keyof typeof comparisons

/** The least ratios of a workload. */
export type Targets = Partial<Readonly<Record<ComparisonName, number>>>

const square: Targets = { jax: 1.45, peak: 0.8, threads: 1.8, wide: 1.7 }
const flat: Targets = { flat: 0.75 }

/** No slower, within what two measurements of the same differ by. */
const noSlower = 0.95

/** By workload. */
export const targets: Readonly<Record<string, Targets>> = {
  "matmul-256": square,
  "matmul-512": square,
  "matmul-1024": square,
  "matmul-255": flat,
  "matmul-n250": flat,
  "matmul-tn": flat,
  "matmul-nt": flat,
  "matmul-batched": flat,
  "matmul-n10": { flat: 0.55 },
  "elementwise": { jax: 8, threads: 1.7, wide: 1.6 },
  "softmax": { jax: 8, threads: 1.6 },
  "sum-all": { jax: 8 },
  "mlp": { jax: 2.2, threads: 1.6, wide: 1.6 },
  "cnn": { jax: 80, threads: 1.6, wide: 1.4 },
  "block": { jax: 2.4, threads: 1.6, wide: 1.4 },
  "rnn": { jax: 4, threads: 1.3 },
  "chain": { jax: 4, threads: noSlower },
  "call": { jax: 5, threads: noSlower },
  "mlp-first-call": { jax: 2 },
  "block-first-call": { jax: 2 }
}
