/**
 * WGSL functions on bits: nan and infinity, rounding to 16-bit floats, conversions, integer division. Shader compilers
 * may assume that no float is nan or infinite and simplify accordingly, hence all tests for them are on bits.
 */
export const bits = /* wgsl */ `
fn float_(bits: u32) -> f32 {
  var hidden = bits;
  return bitcast<f32>(hidden);
}

fn isnan_(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }

fn isinf_(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u; }

fn isfinite_(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }

fn nan_() -> f32 { return float_(0x7fc00000u); }

fn inf_() -> f32 { return float_(0x7f800000u); }

fn neg_(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ 0x80000000u); }

fn abs_(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0x7fffffffu); }

fn copysign_(x: f32, y: f32) -> f32 {
  return bitcast<f32>((bitcast<u32>(x) & 0x7fffffffu) | (bitcast<u32>(y) & 0x80000000u));
}

fn floor_(x: f32) -> f32 {
  if (!isfinite_(x)) { return x; }
  return floor(x);
}

fn ceil_(x: f32) -> f32 {
  if (!isfinite_(x)) { return x; }
  return ceil(x);
}

fn round_(x: f32) -> f32 {
  if (!isfinite_(x)) { return x; }
  return copysign_(round(x), x);
}

fn sign_(x: f32) -> f32 {
  if (isnan_(x) || x == 0.0) { return x; }
  return select(-1.0, 1.0, x > 0.0);
}

fn eq_(x: f32, y: f32) -> bool { return !isnan_(x) && !isnan_(y) && x == y; }

fn lt_(x: f32, y: f32) -> bool { return !isnan_(x) && !isnan_(y) && x < y; }

fn le_(x: f32, y: f32) -> bool { return !isnan_(x) && !isnan_(y) && x <= y; }

fn max_(x: f32, y: f32) -> f32 {
  if (isnan_(x) || isnan_(y)) { return nan_(); }
  return select(x, y, x < y);
}

fn min_(x: f32, y: f32) -> f32 {
  if (isnan_(x) || isnan_(y)) { return nan_(); }
  return select(x, y, y < x);
}

// The order of a sort: nan last, zeros equal.
fn before_(x: f32, y: f32) -> bool { return !isnan_(x) && (isnan_(y) || x < y); }

// To nearest, ties to even, by adding just less than half a unit in the last place kept.
fn roundb16_(x: f32) -> f32 {
  let b = bitcast<u32>(x);
  if (isnan_(x)) { return nan_(); }
  return float_((b + 0x7fffu + ((b >> 16u) & 1u)) & 0xffff0000u);
}

// Below 2^-14 a float16 is a multiple of 2^-24, the unit in the last place of 0.5.
fn round16_(x: f32) -> f32 {
  let b = bitcast<u32>(x);
  let a = b & 0x7fffffffu;
  let s = b & 0x80000000u;
  if (a > 0x7f800000u) { return nan_(); }
  if (a >= 0x477ff000u) { return float_(s | 0x7f800000u); }
  if (a < 0x38800000u) {
    let units = bitcast<u32>(bitcast<f32>(a) + 0.5) - 0x3f000000u;
    return bitcast<f32>(bitcast<u32>(f32(units) * 5.9604644775390625e-8) | s);
  }
  return bitcast<f32>(s | ((a + 0xfffu + ((a >> 13u) & 1u)) & 0xffffe000u));
}

// The 16 bits of a float16 that is held as an f32.
fn half_(x: f32) -> u32 {
  let b = bitcast<u32>(x);
  let a = b & 0x7fffffffu;
  let s = (b >> 16u) & 0x8000u;
  if (a > 0x7f800000u) { return 0x7e00u; }
  if (a == 0x7f800000u) { return s | 0x7c00u; }
  if (a < 0x38800000u) { return s | u32(bitcast<f32>(a) * 16777216.0); }
  return s | ((a - 0x38000000u) >> 13u);
}

fn unhalf_(h: u32) -> f32 {
  let s = (h & 0x8000u) << 16u;
  let a = h & 0x7fffu;
  if (a > 0x7c00u) { return nan_(); }
  if (a == 0x7c00u) { return float_(s | 0x7f800000u); }
  if (a < 0x400u) { return bitcast<f32>(bitcast<u32>(f32(a) * 5.9604644775390625e-8) | s); }
  return bitcast<f32>(s | ((a << 13u) + 0x38000000u));
}

// The next number of a format towards y: step is its unit in the last place among the bits given.
fn nextafter_(x: f32, y: f32) -> f32 {
  if (isnan_(x) || isnan_(y)) { return nan_(); }
  if (x == y) { return y; }
  if (x == 0.0) { return copysign_(float_(1u), y); }
  let b = bitcast<u32>(x);
  return float_(select(b - 1u, b + 1u, (x < y) == (x > 0.0)));
}

fn nextafterb16_(x: f32, y: f32) -> f32 {
  if (isnan_(x) || isnan_(y)) { return nan_(); }
  if (x == y) { return y; }
  if (x == 0.0) { return copysign_(float_(0x10000u), y); }
  let b = bitcast<u32>(x);
  return float_(select(b - 0x10000u, b + 0x10000u, (x < y) == (x > 0.0)));
}

fn nextafter16_(x: f32, y: f32) -> f32 {
  if (isnan_(x) || isnan_(y)) { return nan_(); }
  if (x == y) { return y; }
  if (x == 0.0) { return copysign_(unhalf_(1u), y); }
  let b = half_(x);
  return unhalf_(select(b - 1u, b + 1u, (x < y) == (x > 0.0)));
}

// Floats to integers: towards zero, as near as the type allows, nan to 0.
fn toi32_(x: f32) -> i32 {
  if (isnan_(x)) { return 0; }
  if (x >= 2147483648.0) { return 2147483647; }
  if (x <= -2147483648.0) { return i32(-2147483647 - 1); }
  return i32(x);
}

fn tou32_(x: f32) -> u32 {
  if (isnan_(x) || x <= 0.0) { return 0u; }
  if (x >= 4294967296.0) { return 0xffffffffu; }
  return u32(x);
}

// By zero all bits are 1; the lowest number by -1 is itself, as XLA has it.
fn divi32_(x: i32, y: i32) -> i32 {
  if (y == 0) { return -1; }
  if (y == -1) { return bitcast<i32>(0u - bitcast<u32>(x)); }
  return x / y;
}

fn divu32_(x: u32, y: u32) -> u32 {
  if (y == 0u) { return 0xffffffffu; }
  return x / y;
}

// By zero the dividend.
fn remi32_(x: i32, y: i32) -> i32 {
  if (y == 0) { return x; }
  if (y == -1) { return 0; }
  return x - (x / y) * y;
}

fn remu32_(x: u32, y: u32) -> u32 {
  if (y == 0u) { return x; }
  return x % y;
}

// fmod, exact: the long division of the significands, bit by bit.
fn fmod_(x: f32, y: f32) -> f32 {
  let sign = bitcast<u32>(x) & 0x80000000u;
  var a = bitcast<u32>(x) & 0x7fffffffu;
  let b = bitcast<u32>(y) & 0x7fffffffu;
  if (a >= 0x7f800000u || b > 0x7f800000u || b == 0u) { return nan_(); }
  if (a < b) { return x; }
  if (a == b) { return bitcast<f32>(sign); }
  var ea = i32(a >> 23u);
  var eb = i32(b >> 23u);
  var ma = select((a & 0x7fffffu) | 0x800000u, a << 1u, ea == 0);
  var mb = select((b & 0x7fffffu) | 0x800000u, b << 1u, eb == 0);
  while (ma < 0x800000u) { ma = ma << 1u; ea -= 1; }
  while (mb < 0x800000u) { mb = mb << 1u; eb -= 1; }
  while (ea > eb) {
    if (ma >= mb) { ma -= mb; }
    ma = ma << 1u;
    ea -= 1;
  }
  if (ma >= mb) { ma -= mb; }
  if (ma == 0u) { return bitcast<f32>(sign); }
  while (ma < 0x800000u) { ma = ma << 1u; ea -= 1; }
  let r = select(ma >> u32(1 - ea), (ma - 0x800000u) | (u32(ea) << 23u), ea > 0);
  return bitcast<f32>(r | sign);
}
`
