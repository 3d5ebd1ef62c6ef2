/**
 * WGSL's own exp, log, sin, … are allowed errors of thousands of units in the last place; these are accurate to a few.
 * The approximations are those of S. Moshier's Cephes library, single precision (expf.c, logf.c, sinf.c, tanf.c,
 * asinf.c, atanf.c; netlib.org/cephes), on arguments reduced in the usual ways.
 */
export const elementary = /* wgsl */ `
// x · 2^n for any n: in two factors, since 2^n alone may be out of range.
fn scale_(x: f32, n: i32) -> f32 {
  let m = clamp(n, -250, 250);
  let h = m / 2;
  return x * bitcast<f32>(u32(h + 127) << 23u) * bitcast<f32>(u32(m - h + 127) << 23u);
}

fn exp_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  if (x > 88.73) { return inf_(); }
  if (x < -104.0) { return 0.0; }
  let n = floor(x * 1.44269504088896341 + 0.5);
  let r = (x - n * 0.693359375) + n * 2.12194440e-4;
  var p = 1.9875691500e-4;
  p = p * r + 1.3981999507e-3;
  p = p * r + 8.3334519073e-3;
  p = p * r + 4.1665795894e-2;
  p = p * r + 1.6666665459e-1;
  p = p * r + 5.0000001201e-1;
  return scale_(p * r * r + r + 1.0, i32(n));
}

fn exp2_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  if (x >= 128.0) { return inf_(); }
  if (x < -151.0) { return 0.0; }
  let n = floor(x + 0.5);
  return scale_(exp_((x - n) * 0.69314718055994531), i32(n));
}

fn expm1_(x: f32) -> f32 {
  if (abs_(x) > 0.5 || isnan_(x)) { return exp_(x) - 1.0; }
  var p = 2.7557319e-6;
  p = p * x + 2.4801587e-5;
  p = p * x + 1.9841270e-4;
  p = p * x + 1.3888889e-3;
  p = p * x + 8.3333333e-3;
  p = p * x + 4.1666667e-2;
  p = p * x + 1.6666667e-1;
  p = p * x + 0.5;
  return x + x * x * p;
}

// log(1 + x) - x + x²/2 for -0.3 < x < 0.42.
fn logtail_(x: f32) -> f32 {
  var p = 7.0376836292e-2;
  p = p * x - 1.1514610310e-1;
  p = p * x + 1.1676998740e-1;
  p = p * x - 1.2420140846e-1;
  p = p * x + 1.4249322787e-1;
  p = p * x - 1.6668057665e-1;
  p = p * x + 2.0000714765e-1;
  p = p * x - 2.4999993993e-1;
  p = p * x + 3.3333331174e-1;
  return p * x * x * x;
}

fn log_(x: f32) -> f32 {
  if ((bitcast<u32>(x) << 1u) == 0u) { return neg_(inf_()); }
  if (isnan_(x) || bitcast<u32>(x) > 0x80000000u) { return nan_(); }
  if (isinf_(x)) { return x; }
  var b = bitcast<u32>(x);
  var e = 0;
  if (b < 0x800000u) {
    let up = countLeadingZeros(b) - 8u;
    b = (b << up) & 0x7fffffu;
    e = 1 - i32(up) - 127;
  } else {
    e = i32(b >> 23u) - 127;
  }
  var m = bitcast<f32>((b & 0x7fffffu) | 0x3f800000u);
  if (m > 1.41421356) { m = m * 0.5; e += 1; }
  let f = m - 1.0;
  let n = f32(e);
  return ((logtail_(f) - n * 2.12194440e-4) - 0.5 * f * f) + f + n * 0.693359375;
}

fn log1p_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  if (x > -0.29 && x < 0.41) { return (logtail_(x) - 0.5 * x * x) + x; }
  return log_(1.0 + x);
}

fn sqrt_(x: f32) -> f32 {
  if (isnan_(x) || x < 0.0) { return nan_(); }
  if (x == 0.0 || isinf_(x)) { return x; }
  let r = sqrt(x);
  return r;
}

fn rsqrt_(x: f32) -> f32 {
  if (isnan_(x) || x < 0.0) { return nan_(); }
  if (x == 0.0) { return copysign_(inf_(), x); }
  if (isinf_(x)) { return 0.0; }
  return 1.0 / sqrt(x);
}

// A third of the exponent, then two steps of Halley's iteration.
fn cbrt_(x: f32) -> f32 {
  if (x == 0.0 || !isfinite_(x)) { return x; }
  let tiny = abs_(x) < 1.2e-38;
  let a = select(abs_(x), abs_(x) * 16777216.0, tiny);
  var r = bitcast<f32>(bitcast<u32>(a) / 3u + 0x2a512400u);
  for (var k = 0; k < 2; k++) {
    // r³ / a, which neither overflows nor underflows.
    let t = r * r / (a / r);
    r = r * (t + 2.0) / (2.0 * t + 1.0);
  }
  return copysign_(select(r, r * 0.00390625, tiny), x);
}

// |x| = k·π/4 + z with k even and |z| ≤ π/4. Large arguments are multiplied by 2/π in fixed point (Payne and Hanek,
// 1983).
fn quadrant_(x: f32, z: ptr<function, f32>) -> u32 {
  let a = abs_(x);
  if (a < 4096.0) {
    var k = u32(a * 1.27323954473516);
    k += k & 1u;
    let n = f32(k);
    *z = ((a - n * 0.78515625) - n * 2.4187564849853515625e-4) - n * 3.77489497744594108e-8;
    return (k >> 1u) & 3u;
  }
  return quadrantlarge_(a, z);
}

fn mulhigh_(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let low = al * bl;
  let mid = ah * bl + (low >> 16u);
  let mid2 = al * bh + (mid & 0xffffu);
  return ah * bh + (mid >> 16u) + (mid2 >> 16u);
}

fn quadrantlarge_(a: f32, z: ptr<function, f32>) -> u32 {
  var digits = array<u32, 8>(
    0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu
  );
  let b = bitcast<u32>(a);
  let m = (b & 0x7fffffu) | 0x800000u;
  // a = m · 2^e; only digits of 2/π around 2^-e matter, since whole multiples of 4 quadrants drop out.
  let e = u32(i32(b >> 23u) - 150 + 30);
  let w = e / 32u;
  let s = e % 32u;
  let d0 = digits[w];
  let d1 = digits[w + 1u];
  let d2 = digits[w + 2u];
  let d3 = digits[w + 3u];
  var c0 = d0;
  var c1 = d1;
  var c2 = d2;
  if (s > 0u) {
    c0 = (d0 << s) | (d1 >> (32u - s));
    c1 = (d1 << s) | (d2 >> (32u - s));
    c2 = (d2 << s) | (d3 >> (32u - s));
  }
  // The product's 64 bits that hold two bits of quadrant and 62 of fraction.
  var low = m * c1;
  let carry = mulhigh_(m, c2);
  low += carry;
  let high = m * c0 + mulhigh_(m, c1) + select(0u, 1u, low < carry);
  var quadrant = high >> 30u;
  var top = (high << 2u) | (low >> 30u);
  let negative = (top & 0x80000000u) != 0u;
  if (negative) { quadrant += 1u; top = 0u - top; }
  let fraction = f32(top) * 2.3283064365386963e-10;
  *z = select(1.0, -1.0, negative) * fraction * 1.57079632679489662;
  return quadrant & 3u;
}

fn sinpoly_(z: f32) -> f32 {
  let w = z * z;
  return ((-1.9515295891e-4 * w + 8.3321608736e-3) * w - 1.6666654611e-1) * w * z + z;
}

fn cospoly_(z: f32) -> f32 {
  let w = z * z;
  return ((2.443315711809948e-5 * w - 1.388731625493765e-3) * w + 4.166664568298827e-2) * w * w - 0.5 * w + 1.0;
}

fn sin_(x: f32) -> f32 {
  if (!isfinite_(x)) { return nan_(); }
  var z = 0.0;
  let q = quadrant_(x, &z);
  let r = select(sinpoly_(z), cospoly_(z), (q & 1u) == 1u);
  return select(r, -r, (q >= 2u) != (x < 0.0));
}

fn cos_(x: f32) -> f32 {
  if (!isfinite_(x)) { return nan_(); }
  var z = 0.0;
  let q = quadrant_(x, &z);
  let r = select(cospoly_(z), sinpoly_(z), (q & 1u) == 1u);
  return select(r, -r, q == 1u || q == 2u);
}

fn tan_(x: f32) -> f32 {
  if (!isfinite_(x)) { return nan_(); }
  var z = 0.0;
  let q = quadrant_(x, &z);
  let w = z * z;
  var p = 9.38540185543e-3;
  p = p * w + 3.11992232697e-3;
  p = p * w + 2.44301354525e-2;
  p = p * w + 5.34112807005e-2;
  p = p * w + 1.33387994085e-1;
  p = p * w + 3.33331568548e-1;
  let t = select(p * w * z + z, z, w < 1e-8);
  let r = select(t, -1.0 / t, (q & 1u) == 1u);
  return select(r, -r, x < 0.0);
}

fn asin_(x: f32) -> f32 {
  let a = abs_(x);
  if (isnan_(x) || a > 1.0) { return nan_(); }
  if (a < 1e-4) { return x; }
  let big = a > 0.5;
  let w = select(a * a, 0.5 * (1.0 - a), big);
  let s = select(a, sqrt(w), big);
  var p = 4.2163199048e-2;
  p = p * w + 2.4181311049e-2;
  p = p * w + 4.5470025998e-2;
  p = p * w + 7.4953002686e-2;
  p = p * w + 1.6666752422e-1;
  let r = p * w * s + s;
  return copysign_(select(r, 1.57079632679489662 - 2.0 * r, big), x);
}

fn acos_(x: f32) -> f32 {
  let a = abs_(x);
  if (isnan_(x) || a > 1.0) { return nan_(); }
  if (a <= 0.5) { return 1.57079632679489662 - asin_(x); }
  let r = 2.0 * asin_(sqrt(0.5 * (1.0 - a)));
  return select(r, 3.14159265358979324 - r, x < 0.0);
}

fn atan_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  let a = abs_(x);
  var base = 0.0;
  var z = a;
  if (a > 1e10) { return copysign_(1.57079632679489662, x); }
  if (a > 2.414213562373095) {
    base = 1.57079632679489662;
    z = -1.0 / a;
  } else if (a > 0.4142135623730950) {
    base = 0.78539816339744831;
    z = (a - 1.0) / (a + 1.0);
  }
  let w = z * z;
  var p = 8.05374449538e-2;
  p = p * w - 1.38776856032e-1;
  p = p * w + 1.99777106478e-1;
  p = p * w - 3.33329491539e-1;
  return copysign_(base + (p * w * z + z), x);
}

fn atan2_(y: f32, x: f32) -> f32 {
  if (isnan_(x) || isnan_(y)) { return nan_(); }
  let left = (bitcast<u32>(x) & 0x80000000u) != 0u;
  if (y == 0.0) { return copysign_(select(0.0, 3.14159265358979324, left), y); }
  if (x == 0.0) { return copysign_(1.57079632679489662, y); }
  if (isinf_(x) && isinf_(y)) { return copysign_(select(0.78539816339744831, 2.35619449019234493, left), y); }
  if (isinf_(y)) { return copysign_(1.57079632679489662, y); }
  if (isinf_(x)) { return copysign_(select(0.0, 3.14159265358979324, left), y); }
  let a = abs_(x);
  let b = abs_(y);
  var r = 0.0;
  if (b > a) { r = 1.57079632679489662 - atan_(a / b); } else { r = atan_(b / a); }
  return copysign_(select(r, 3.14159265358979324 - r, left), y);
}

fn sinh_(x: f32) -> f32 {
  let a = abs_(x);
  if (!isfinite_(x)) { return x; }
  if (a > 88.0) {
    let h = exp_(0.5 * a);
    return copysign_(0.5 * h * h, x);
  }
  let e = expm1_(a);
  return copysign_(0.5 * (e + e / (e + 1.0)), x);
}

fn cosh_(x: f32) -> f32 {
  let a = abs_(x);
  if (!isfinite_(x)) { return a; }
  let h = exp_(0.5 * a);
  if (a > 88.0) { return 0.5 * h * h; }
  let e = exp_(a);
  return 0.5 * e + 0.5 / e;
}

fn tanh_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  let a = abs_(x);
  if (a > 9.1) { return copysign_(1.0, x); }
  let e = expm1_(2.0 * a);
  return copysign_(e / (e + 2.0), x);
}

fn asinh_(x: f32) -> f32 {
  if (!isfinite_(x)) { return x; }
  let a = abs_(x);
  if (a > 1e4) { return copysign_(log_(a) + 0.69314718055994531, x); }
  let w = a * a;
  return copysign_(log1p_(a + w / (1.0 + sqrt(1.0 + w))), x);
}

fn acosh_(x: f32) -> f32 {
  if (isnan_(x) || x < 1.0) { return nan_(); }
  if (isinf_(x)) { return x; }
  if (x > 1e4) { return log_(x) + 0.69314718055994531; }
  let d = x - 1.0;
  return log1p_(d + sqrt(d * (d + 2.0)));
}

fn atanh_(x: f32) -> f32 {
  let a = abs_(x);
  if (isnan_(x) || a > 1.0) { return nan_(); }
  if (a == 1.0) { return copysign_(inf_(), x); }
  return copysign_(0.5 * log1p_(2.0 * a / (1.0 - a)), x);
}

fn logistic_(x: f32) -> f32 {
  if (isnan_(x)) { return x; }
  let e = exp_(-abs_(x));
  return select(e / (1.0 + e), 1.0 / (1.0 + e), x >= 0.0);
}

fn logaddexp_(x: f32, y: f32) -> f32 {
  let top = max_(x, y);
  if (!isfinite_(top)) { return top; }
  return top + log1p_(exp_(min_(x, y) - top));
}

fn div_(x: f32, y: f32) -> f32 {
  if (isnan_(x) || isnan_(y)) { return nan_(); }
  let negative = ((bitcast<u32>(x) ^ bitcast<u32>(y)) & 0x80000000u) != 0u;
  if (y == 0.0) {
    if (x == 0.0) { return nan_(); }
    return select(inf_(), neg_(inf_()), negative);
  }
  if (isinf_(x)) {
    if (isinf_(y)) { return nan_(); }
    return select(inf_(), neg_(inf_()), negative);
  }
  if (isinf_(y)) { return select(0.0, -0.0, negative); }
  return x / y;
}

// The upper half of a significand: products of two of these are exact.
fn upper_(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u); }

// a · b exactly, as a sum of two floats (Dekker, 1971).
fn product_(a: f32, b: f32) -> vec2f {
  let p = a * b;
  let ah = upper_(a);
  let bh = upper_(b);
  let al = a - ah;
  let bl = b - bh;
  return vec2f(p, ((ah * bh - p) + ah * bl + al * bh) + al * bl);
}

// a · b + c, rounded once (nearly always: the sum of the three parts is rounded twice). WGSL's own fma need not be
// fused.
fn fma_(a: f32, b: f32, c: f32) -> f32 {
  let p = product_(a, b);
  let s = p.x + c;
  let t = s - p.x;
  return s + (((p.x - (s - t)) + (c - t)) + p.y);
}

// 1, which compilers do not know: they take (1 + x) - 1 for x where both are constants.
fn one_() -> f32 { return bitcast<f32>(0x3f800000u | (arrayLength(&y0) >> 31u)); }

// log2 of a positive finite number as a sum of two floats, to about 2^-35.
fn log2pair_(x: f32) -> vec2f {
  var b = bitcast<u32>(x);
  var e = 0;
  if (b < 0x800000u) {
    let up = countLeadingZeros(b) - 8u;
    b = (b << up) & 0x7fffffu;
    e = 1 - i32(up) - 127;
  } else {
    e = i32(b >> 23u) - 127;
  }
  var m = bitcast<f32>((b & 0x7fffffu) | 0x3f800000u);
  if (m > 1.41421356) { m = m * 0.5; e += 1; }
  // log m = 2 atanh s, s = (m - 1)/(m + 1), the quotient corrected by its remainder.
  let one = one_();
  let f = m - one;
  let g = m + one;
  let s = f / g;
  let sg = product_(s, g);
  let rest = ((f - sg.x) - sg.y - s * select((m - g) + one, (one - g) + m, m < one)) / g;
  let w = s * s;
  let tail = s * w * (0.666666666 + w * (0.4 + w * (0.285714285 + w * (0.222222222 + w * 0.18181818))));
  let high = product_(2.0 * s, 1.44269502);
  let low = high.y + 2.0 * s * 1.925963033e-8 + (2.0 * rest + tail) * 1.44269504;
  let n = f32(e);
  let sum = n + high.x;
  return vec2f(sum, (high.x - (sum - n)) + low);
}

// log(1 + x) of -1 < x, nearly always rounded as it should be.
fn log1prounded_(x: f32) -> f32 {
  let one = one_();
  let u = one + x;
  // What the sum lost; where 1 is not the larger term, nothing that matters.
  let lost = select(0.0, x - (u - one), abs_(x) < one);
  let l = log2pair_(u);
  let p = product_(l.x, 0.69314718246459961);
  return p.x + (p.y + l.y * 0.69314718 - l.x * 1.904654323e-9 + lost / u);
}

// C's pow, for finite arguments with x > 0.
fn powpositive_(x: f32, y: f32) -> f32 {
  let l = log2pair_(x);
  let p = product_(y, l.x);
  let rough = p.x + y * l.y;
  if (rough > 129.0) { return inf_(); }
  if (rough < -151.0) { return 0.0; }
  let n = floor(p.x + 0.5);
  return scale_(exp_(((p.x - n) + (p.y + y * l.y)) * 0.69314718055994531), i32(n));
}

fn pow_(x: f32, y: f32) -> f32 {
  if (y == 0.0 || bitcast<u32>(x) == 0x3f800000u) { return 1.0; }
  if (isnan_(x) || isnan_(y)) { return nan_(); }
  let a = abs_(x);
  let negative = (bitcast<u32>(x) & 0x80000000u) != 0u;
  if (isinf_(y)) {
    if (a == 1.0) { return 1.0; }
    return select(0.0, inf_(), (a > 1.0) == (y > 0.0));
  }
  let whole = floor(y) == y;
  let odd = whole && abs_(y) < 16777216.0 && (i32(y) & 1) != 0;
  var r = 0.0;
  if (a == 0.0 || isinf_(x)) {
    r = select(0.0, inf_(), (a == 0.0) == (y < 0.0));
  } else {
    if (negative && !whole) { return nan_(); }
    // product_ splits numbers up to 2^115 safely; beyond, the power is out of range anyway.
    r = powpositive_(a, clamp(y, -1e30, 1e30));
  }
  return select(r, neg_(r), negative && odd);
}
`
