/**
 * A dilated input has holes, and most of what a convolution would multiply there is zero. But along an axis with dilation
 * d, only every d-th element of the window meets elements of the input at all, and which those are depends only on the
 * remainder of the output's index. So the convolution is several smaller ones without holes, its *phases*, each of which
 * gives every so manieth element of the result: the gradient of a convolution with stride 2 has 4 of them.
 *
 * With output index r + P q and window index w + S t, the place in the input is, along an axis,
 *
 * ```text
 * ((r + P q) stride + (w + S t) kernelDilation - low) / d
 * ```
 *
 * which is linear in q and t if P = d / gcd(stride, d) and S = d / gcd(kernelDilation, d).
 */
import type { Axis, Geometry } from "./geometry.ts"

/** One phase along one axis, and where its first elements are in the kernel and in the result. */
interface Phase {
  readonly axis: Axis
  readonly kernel: number
  readonly output: number
}

const gcd = (a: number, b: number): number => b === 0 ? a : gcd(b, a % b)

const phasesAlong = (axis: Axis): ReadonlyArray<Phase> => {
  const { inputDilation: d, kernelDilation, low, stride } = axis
  const outputStep = d / gcd(stride, d)
  const windowStep = d / gcd(kernelDilation, d)
  return Array.from({ length: Math.min(outputStep, axis.output) }, (_, r): Phase => {
    const starts = Array.from({ length: windowStep }, (_, w) => r * stride + w * kernelDilation - low)
    const found = starts.findIndex((start) => start % d === 0)
    const w = Math.max(0, found)
    return {
      kernel: w * axis.kernelStride,
      output: r * axis.outputStride,
      axis: {
        ...axis,
        inputDilation: 1,
        low: found < 0 ? 0 : -starts[w] / d,
        // An element of the result that meets none of the window is 0, the sum of nothing.
        window: found < 0 ? 0 : Math.max(0, Math.ceil((axis.window - w) / windowStep)),
        kernelStride: axis.kernelStride * windowStep,
        kernelDilation: kernelDilation * windowStep / d,
        output: Math.ceil((axis.output - r) / outputStep),
        outputStride: axis.outputStride * outputStep,
        stride: stride * outputStep / d
      }
    }
  })
}

/** The phases of a convolution: itself, if its input is not dilated. */
export const phasesOf = (geometry: Geometry): ReadonlyArray<Geometry> =>
  geometry.axes.reduce<ReadonlyArray<Geometry>>(
    (phases, axis, d) =>
      phases.flatMap((phase) =>
        phasesAlong(axis).map((along) => ({
          ...phase,
          first: { kernel: phase.first.kernel + along.kernel, output: phase.first.output + along.output },
          axes: phase.axes.with(d, along.axis)
        }))
      ),
    [geometry]
  )
