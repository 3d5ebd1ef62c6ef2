/**
 * The derivative of digamma, which is no primitive: composed of lax operations, so that it can be differentiated again.
 */
import * as lax from "../../Tensor/lax/index.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import { fullLike, scale, shift, where } from "./support.ts"

/** Bernoulli numbers B₂, B₄, … B₁₀ of the asymptotic series. */
const bernoulli = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66]

/** How far the argument is moved up before the series is used. */
const steps = 6

const reciprocalSquare = (x: Tensor): Tensor => lax.integerPow(x, -2)

/**
 * ψ′ for x > 0: ψ′(x) = Σₖ (x + k)⁻² + ψ′(x + 6), and there 1/z + 1/(2z²) + Σ B₂ₙ/z²ⁿ⁺¹ (Abramowitz & Stegun 6.4.12).
 */
const positive = (x: Tensor): Tensor => {
  const z = shift(x, steps)
  const inverse = lax.div(fullLike(z, 1), z)
  const square = lax.square(inverse)
  const series = bernoulli.toReversed().reduce<Tensor>(
    (sum, b) => shift(lax.mul(sum, square), b),
    fullLike(z, 0)
  )
  const tail = lax.add(inverse, lax.add(scale(square, 0.5), lax.mul(lax.mul(inverse, square), series)))
  return Array.from({ length: steps }, (_, k) => reciprocalSquare(shift(x, k))).reduce((a, b) => lax.add(a, b), tail)
}

/** ψ′(x), by reflection below one half: ψ′(x) = π²/sin²(πx) - ψ′(1 - x). */
export const trigamma = (x: Tensor): Tensor => {
  const low = lax.lt(x, fullLike(x, 0.5))
  const value = positive(where(low, lax.sub(fullLike(x, 1), x), x))
  // The sine is taken of a harmless argument where the reflection is not wanted, since 0·∞ would spoil derivatives.
  const sine = lax.sin(scale(where(low, x, fullLike(x, 0.25)), Math.PI))
  return where(low, lax.sub(scale(reciprocalSquare(sine), Math.PI ** 2), value), value)
}
