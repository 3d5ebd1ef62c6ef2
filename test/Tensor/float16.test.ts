// Both 16-bit floats, exhaustively: every pattern of bits, and every midpoint between neighbours.
import { assert, describe, it } from "@effect/vitest"
import {
  decodeBfloat16,
  decodeBfloat16Array,
  decodeFloat16,
  decodeFloat16Array,
  encode,
  encodeBfloat16,
  encodeFloat16,
  nearest
} from "../../src/Tensor/float16.ts"

const patterns = Array.from({ length: 65536 }, (_, i) => i)

const formats = {
  float16: { encode: encodeFloat16, decode: decodeFloat16, infinity: 0x7c00 },
  bfloat16: { encode: encodeBfloat16, decode: decodeBfloat16, infinity: 0x7f80 }
} as const

for (const [name, { decode, encode, infinity }] of Object.entries(formats)) {
  describe(name, () => {
    it("reads back what it wrote, for every value", () => {
      for (const bits of patterns) {
        const value = decode(bits)
        if (Number.isNaN(value)) assert(Number.isNaN(decode(encode(value))))
        else assert.strictEqual(encode(value), bits)
      }
    })

    it("rounds to nearest, ties to even, between all neighbours", () => {
      for (let bits = 0; bits < infinity - 1; bits++) {
        const low = decode(bits)
        const high = decode(bits + 1)
        const middle = (low + high) / 2
        const even = bits % 2 === 0 ? bits : bits + 1
        assert.strictEqual(encode(middle), even, `midpoint above ${bits}`)
        assert.strictEqual(encode(low + (middle - low) / 2), bits)
        assert.strictEqual(encode(middle + (high - middle) / 2), bits + 1)
        assert.strictEqual(encode(-middle), even + 0x8000)
      }
    })

    it("overflows to infinity half a step above the largest value", () => {
      const largest = decode(infinity - 1)
      const step = largest - decode(infinity - 2)
      assert.strictEqual(encode(largest + step / 2), infinity)
      assert.strictEqual(encode(largest + step / 4), infinity - 1)
      assert.strictEqual(encode(-Infinity), infinity + 0x8000)
    })
  })
}

describe("float16 and JavaScript", () => {
  it("agrees with DataView's float16", () => {
    const view = new DataView(new ArrayBuffer(2))
    for (const bits of patterns) {
      view.setUint16(0, bits)
      const expected = view.getFloat16(0)
      assert(Object.is(decodeFloat16(bits), expected), `${bits}`)
    }
    for (let i = 0; i < 20000; i++) {
      const value = Math.sin(i) * 2 ** (i % 45 - 27)
      view.setFloat16(0, value)
      assert.strictEqual(encodeFloat16(value), view.getUint16(0), `${value}`)
    }
  })

  it("decodes arrays, and rounds numbers of other dtypes", () => {
    assert.deepStrictEqual(decodeFloat16Array([0x3c00, 0xc000]), Float32Array.of(1, -2))
    assert.deepStrictEqual(decodeBfloat16Array([0x3f80, 0xc000]), Float32Array.of(1, -2))
    assert.strictEqual(nearest(0.1, "float32"), Math.fround(0.1))
    assert.strictEqual(nearest(0.1, "bfloat16"), 0.10009765625)
    assert.strictEqual(nearest(3, "int32"), 3)
    assert.strictEqual(encode(2.5, "bool"), 1)
  })
})
