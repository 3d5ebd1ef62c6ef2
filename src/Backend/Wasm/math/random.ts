/**
 * The random bits: threefry2x32 with 20 rounds (Salmon et al., 2011), five groups of four rotations with the key mixed
 * in after each.
 */
import { b, i, u, type Value } from "./value.ts"

const rotations = [[13, 15, 26, 6], [17, 29, 16, 24]]

/** Two words of random bits from a key and a counter of two words each. */
export const threefry = (key0: Value, key1: Value, x0: Value, x1: Value): readonly [Value, Value] => {
  const keys = [key0, key1, b.xor(b.xor(key0, key1), 0x1bd11bda)]
  let x = i.add(x0, key0)
  let y = i.add(x1, key1)
  for (let group = 0; group < 5; group++) {
    for (const by of rotations[group % 2]) {
      x = i.add(x, y)
      y = b.xor(b.or(i.shl(y, by), u.shr(y, 32 - by)), x)
    }
    x = i.add(x, keys[(group + 1) % 3])
    // The key plus a number is the same for many elements.
    y = i.add(y, i.add(keys[(group + 2) % 3], group + 1))
  }
  return [x, y]
}
