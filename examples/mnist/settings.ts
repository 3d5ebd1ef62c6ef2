/**
 * What can be chosen about a run, and where each choice comes from: the command line, else the checkpoint that the run
 * goes on from, else the defaults.
 */
import { Option, Schema } from "effect"
import { Flag } from "effect/cli"
import { availableParallelism } from "node:os"
import { names } from "./backend.ts"

/** What the result of a run depends on. A checkpoint keeps it. */
export const Settings = Schema.Struct({
  epochs: Schema.Int,
  batchSize: Schema.Int,
  /** The highest, at the end of the warmup. */
  learningRate: Schema.Finite,
  seed: Schema.Int,
  /** How many of the training images are used. */
  limit: Schema.Int
})

export type Settings = typeof Settings.Type

/** About 99.3 % in a minute on two cores. */
export const defaults: Settings = { epochs: 4, batchSize: 128, learningRate: 0.005, seed: 0, limit: 60_000 }

const positive = Flag.filter((n: number) => n > 0, (n) => `a number above 0, got ${n}`)

const setting = (flag: Flag.Flag<number>, name: keyof Settings, description: string) =>
  flag.pipe(Flag.withDescription(`${description} (default: ${defaults[name]})`), Flag.optional)

/** More than four have too little to do in a step. */
const threads = Math.min(4, availableParallelism())

/** The options of the command. */
export const flags = {
  epochs: setting(positive(Flag.Int("epochs")), "epochs", "Passes over the training images"),
  batchSize: setting(positive(Flag.Int("batch-size")), "batchSize", "Images in a step"),
  learningRate: setting(
    positive(Flag.Finite("learning-rate")),
    "learningRate",
    "Adam's learning rate after its warmup"
  ),
  seed: setting(Flag.Int("seed"), "seed", "Where all randomness comes from"),
  limit: setting(positive(Flag.Int("limit")), "limit", "How many training images to use").pipe(Flag.withHidden),
  backend: Flag.Literals("backend", names).pipe(
    Flag.withDescription("What computes (default: wasm)"),
    Flag.withDefault("wasm")
  ),
  threads: positive(Flag.Int("threads")).pipe(
    Flag.withDescription(`Threads of the wasm backend (default: ${threads}, from the cores there are)`),
    Flag.withDefault(threads)
  ),
  output: Flag.String("output").pipe(
    Flag.withMetavar("folder"),
    Flag.withDescription("Folder for checkpoints and the picture (default: output)"),
    Flag.withDefault("output")
  ),
  checkpointEvery: positive(Flag.Int("checkpoint-every")).pipe(
    Flag.withDescription("Steps between checkpoints (default: 500)"),
    Flag.withDefault(500)
  ),
  resume: Flag.Boolean("resume").pipe(
    Flag.withDescription("Go on from the checkpoint in the output folder, with its settings where none are given"),
    Flag.withDefault(false)
  ),
  json: Flag.String("json").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription("Write testAccuracy, seconds and steps to this file"),
    Flag.optional
  )
}

type Given = { readonly [K in keyof Settings]: Option.Option<number> }

/** The settings of a run. */
export const resolve = (given: Given, saved: Settings = defaults): Settings => ({
  epochs: Option.getOrElse(given.epochs, () => saved.epochs),
  batchSize: Option.getOrElse(given.batchSize, () => saved.batchSize),
  learningRate: Option.getOrElse(given.learningRate, () => saved.learningRate),
  seed: Option.getOrElse(given.seed, () => saved.seed),
  limit: Option.getOrElse(given.limit, () => saved.limit)
})
