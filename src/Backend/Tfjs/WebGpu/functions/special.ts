/** WGSL functions: the error function and its inverse, the gamma function's logarithm and its derivative. */
export const special = /* wgsl */ `
// erf near 0 and erfc's exponent in the tail: Sun Microsystems' fdlibm, s_erff.c.
fn erfsmall_(x: f32) -> f32 {
  let z = x * x;
  let r = 1.2837916613e-1 + z * (-3.2504209876e-1 + z * (-2.8481749818e-2 + z * (-5.7702702470e-3 + z * -2.3763017452e-5)));
  let s = 1.0 + z * (3.9791721106e-1 + z * (6.5022252500e-2 + z * (5.0813062117e-3 + z * (1.3249473704e-4 + z * -3.9602282413e-6))));
  return x + x * (r / s);
}

// erfc of a ≥ 0.84375.
fn erfctail_(a: f32) -> f32 {
  if (a < 1.25) {
    let t = a - 1.0;
    let p = -2.3621185683e-3 + t * (4.1485610604e-1 + t * (-3.7220788002e-1 + t * (3.1834661961e-1 + t * (-1.1089469492e-1 + t * (3.5478305072e-2 + t * -2.1663755178e-3)))));
    let q = 1.0 + t * (1.0642088205e-1 + t * (5.4039794207e-1 + t * (7.1828655899e-2 + t * (1.2617121637e-1 + t * (1.3637083583e-2 + t * 1.1984500103e-2)))));
    return 1.0 - 8.4506291151e-1 - p / q;
  }
  if (a > 10.1) { return 0.0; }
  let s = 1.0 / (a * a);
  var r = 0.0;
  var t = 1.0;
  if (a < 2.85714285) {
    r = -9.8649440333e-3 + s * (-6.9385856390e-1 + s * (-1.0558626175e1 + s * (-6.2375331879e1 + s * (-1.6239666748e2 + s * (-1.8460508728e2 + s * (-8.1287437439e1 + s * -9.8143291473))))));
    t = 1.0 + s * (1.9651271820e1 + s * (1.3765776062e2 + s * (4.3456588745e2 + s * (6.4538726807e2 + s * (4.2900814819e2 + s * (1.0863500214e2 + s * (6.5702495575 + s * -6.0424413532e-2)))))));
  } else {
    r = -9.8649431020e-3 + s * (-7.9928326607e-1 + s * (-1.7757955551e1 + s * (-1.6063638306e2 + s * (-6.3756646729e2 + s * (-1.0250950928e3 + s * -4.8351919556e2)))));
    t = 1.0 + s * (3.0338060379e1 + s * (3.2579251099e2 + s * (1.5367296143e3 + s * (3.1998581543e3 + s * (2.5530502930e3 + s * (4.7452853394e2 + s * -2.2440952301e1))))));
  }
  // exp(-a²) without the rounding of a²: z has few bits, and a² = z² + (a - z)(a + z).
  let z = bitcast<f32>(bitcast<u32>(a) & 0xffffe000u);
  return exp_(-z * z - 0.5625) * exp_((z - a) * (z + a) + r / t) / a;
}

fn erf_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  let a = abs_(x);
  if (a < 0.84375) { return erfsmall_(x); }
  if (a > 5.0) { return copysign_(1.0, x); }
  return copysign_(1.0 - erfctail_(a), x);
}

fn erfc_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  let a = abs_(x);
  if (a < 0.84375) { return 1.0 - erfsmall_(x); }
  let tail = erfctail_(min(a, 20.0));
  return select(2.0 - tail, tail, x > 0.0);
}

// M. Giles, "Approximating the erfinv function" (2010), single precision, as XLA has it: random normals are
// made with it, and are to be JAX's to the bit: its logarithm is rounded exactly, and XLA's CPU fuses multiplications
// with additions.
fn erfinv_(x: f32) -> f32 {
  if (isnan_(x) || abs_(x) > 1.0) { return nan_(); }
  if (abs_(x) == 1.0) { return copysign_(inf_(), x); }
  var w = -log1prounded_(-x * x);
  var p = 0.0;
  if (w < 5.0) {
    w = w - 2.5;
    p = 2.81022636e-08;
    p = fma_(p, w, 3.43273939e-07);
    p = fma_(p, w, -3.5233877e-06);
    p = fma_(p, w, -4.39150654e-06);
    p = fma_(p, w, 0.00021858087);
    p = fma_(p, w, -0.00125372503);
    p = fma_(p, w, -0.00417768164);
    p = fma_(p, w, 0.246640727);
    p = fma_(p, w, 1.50140941);
  } else {
    w = sqrt(w) - 3.0;
    p = -0.000200214257;
    p = fma_(p, w, 0.000100950558);
    p = fma_(p, w, 0.00134934322);
    p = fma_(p, w, -0.00367342844);
    p = fma_(p, w, 0.00573950773);
    p = fma_(p, w, -0.0076224613);
    p = fma_(p, w, 0.00943887047);
    p = fma_(p, w, 1.00167406);
    p = fma_(p, w, 2.83297682);
  }
  return p * x;
}

// sin(πx) with the argument reduced first, which is exact.
fn sinpi_(x: f32) -> f32 { return sin_(3.14159265358979324 * (x - 2.0 * floor(0.5 * x + 0.5))); }

// log Γ(2 + d) for |d| ≤ 1/2: d(1 - γ) + Σ (-1)ᵏ (ζ(k) - 1) dᵏ / k.
fn lgammanear_(d: f32) -> f32 {
  var p = -2.039215754e-6;
  p = p * d + 4.374866790e-6;
  p = p * d - 9.439488275e-6;
  p = p * d + 2.050721278e-5;
  p = p * d - 4.492623674e-5;
  p = p * d + 9.945751278e-5;
  p = p * d - 2.231547585e-4;
  p = p * d + 5.096695247e-4;
  p = p * d - 1.192753912e-3;
  p = p * d + 2.890510331e-3;
  p = p * d - 7.385551029e-3;
  p = p * d + 2.058080843e-2;
  p = p * d - 6.735230105e-2;
  p = p * d + 3.224670334e-1;
  return d * (4.2278433509846714e-1 + p * d);
}

// log Γ(x) for x ≥ 1/2.
fn lgammapositive_(x: f32) -> f32 {
  if (x < 1.5) { return lgammanear_(x - 1.0) - log1p_(x - 1.0); }
  if (x >= 8.0) {
    let z = 1.0 / x;
    let w = z * z;
    // Stirling's series.
    let tail = z * (0.0833333333 - w * (0.00277777778 - w * 0.000793650794));
    return (x - 0.5) * (log_(x) - 1.0) + 0.41893853320467274 + tail;
  }
  var f = 1.0;
  var z = x;
  while (z > 2.5) { z -= 1.0; f = f * z; }
  return lgammanear_(z - 2.0) + log_(f);
}

fn lgamma_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  if (isinf_(x)) { return inf_(); }
  if (x <= 0.0 && floor(x) == x) { return inf_(); }
  if (x > 1e36) { return inf_(); }
  if (x >= 0.5) { return lgammapositive_(x); }
  return log_(3.14159265358979324 / abs_(sinpi_(x))) - lgammapositive_(1.0 - x);
}

fn digammapositive_(x: f32) -> f32 {
  var shift = 0.0;
  var z = x;
  while (z < 6.0) { shift += 1.0 / z; z += 1.0; }
  let w = 1.0 / (z * z);
  let tail = w * (0.0833333333 - w * (0.00833333333 - w * (0.00396825397 - w * 0.00416666667)));
  return log_(z) - 0.5 / z - tail - shift;
}

fn digamma_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  if (isinf_(x)) { return select(nan_(), x, x > 0.0); }
  if (x == 0.0) { return neg_(inf_()); }
  if (x < 0.0 && floor(x) == x) { return nan_(); }
  if (x >= 0.5) { return digammapositive_(x); }
  let r = x - floor(x + 0.5);
  return digammapositive_(1.0 - x) - 3.14159265358979324 / tan_(3.14159265358979324 * r);
}
`
