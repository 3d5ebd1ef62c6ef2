/** How large buffers are. */
import * as DTypes from "../../../Tensor/DType.ts"
import type { Buffer } from "../ir.ts"

/** Bytes of a buffer's elements. */
export const bytesOf = (buffer: Buffer): number => buffer.size * DTypes.byteSize(buffer.dtype)
